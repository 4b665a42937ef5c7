// tests/test_bombs.cpp — small files that ask for much: what they announce is not paid for.
#include <doctest/doctest.h>
#include <zlib.h>

#include <filesystem>

#include "clip/weights/model_file.h"
#include "data/pairs.h"
#include "data/text/texts.h"
#include "data/text/tokenizer.h"
#include "tensor/io/npy.h"
#include "tensor/io/safetensors.h"
#include "tests/limited.h"
#include "tests/pictures.h"
#include "tests/torch_files.h"

using namespace diptych;
using namespace diptych::test;

namespace {

constexpr int64_t kOver = int64_t{64}
                          << 20;  // allowed beside the file, or what it may be read into

/// Runs f within `memory` and kOver; it must end with this message, or with none.
template <class F>
void check_bounded(const std::string& what, int64_t memory, const std::string& message,
                   const F& f) {
  const Limited got = run_limited(memory + kOver, f);
  CAPTURE(what);
  CHECK_MESSAGE(contains(got.error, message), got.error);
  CHECK(got.error.empty() == message.empty());
  CHECK(got.error.size() < 1000);
  CHECK(got.growth <= memory + kOver);
  MESSAGE(what, ": ", got.seconds, " s, ", got.growth >> 20, " MiB over ", memory >> 20);
}

template <class F>
void check_file(const std::string& what, const std::string& bytes, const std::string& message,
                const F& open) {
  const TempDir dir;
  const std::string path = dir / "bomb";
  put_file(path, bytes);
  check_bounded(what, static_cast<int64_t>(bytes.size()), message, [&] { open(path); });
}

std::string zeros_packed(size_t bytes, int window) {
  std::string out(bytes / 500 + 1000, '\0');
  z_stream stream{};
  check(deflateInit2(&stream, 9, Z_DEFLATED, window, 9, Z_DEFAULT_STRATEGY) == Z_OK, "test: zlib");
  std::string block(1 << 20, '\0');
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  for (size_t done = 0; done <= bytes; done += block.size()) {
    stream.next_in = reinterpret_cast<Bytef*>(block.data());
    stream.avail_in = static_cast<uInt>(std::min(block.size(), bytes - done));
    deflate(&stream, done + block.size() > bytes ? Z_FINISH : Z_NO_FLUSH);
  }
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

constexpr int kZlib = 15, kGzip = 31, kRaw = -15;

std::string png_of(uint32_t side, const std::string& before, size_t image_bytes) {
  return png_header(side, side) + before + png_chunk("IDAT" + zeros_packed(image_bytes, kZlib)) +
         png_chunk("IEND");
}

void open_picture(const std::string& path) { load_picture(path); }
void open_model(const std::string& path) { load_model(path); }

std::string repeated(const std::string& part, size_t bytes) {
  std::string out;
  out.reserve(bytes + part.size());
  while (out.size() < bytes) out += part;
  return out;
}

std::string safetensors_of(const std::string& header) {
  return little_endian(static_cast<uint64_t>(header.size())) + header;
}

}  // namespace

TEST_CASE("bombs: a picture is unpacked as far as it announces") {
  constexpr size_t kPixels = 8 * (8 * 3 + 1);
  check_file("PNG: 8 x 8", png_of(8, "", kPixels), "", open_picture);
  check_file("PNG: 1 MB more than 8 x 8", png_of(8, "", kPixels + (1 << 20)), "", open_picture);
  check_file("PNG: 500 MB more than 8 x 8", png_of(8, "", 500 << 20),
             "image data goes on behind the last pixel", open_picture);
  const std::string text = zeros_packed(200 << 20, kZlib);
  for (const std::string& chunk :
       {"zTXtkey" + std::string(2, '\0') + text, "iCCPname" + std::string(2, '\0') + text,
        "iTXtkey" + std::string(1, '\0') + '\1' + std::string(3, '\0') + text})
    check_file("PNG: " + chunk.substr(0, 4) + " of 200 MB", png_of(8, png_chunk(chunk), kPixels),
               "", open_picture);
  check_file("PNG: 16384 x 16384", png_of(16384, "", 1000), "too many pixels", open_picture);
  check_file("PNG: 2^31 - 1", png_of(0x7fffffff, "", 1000), "bomb", open_picture);
}

TEST_CASE("bombs: the metadata of a JPEG is skipped") {
  std::string jpeg = golden_file("37x23 JPEG subsampling 2");
  const std::string comment = "\xff\xfe\xff\xff" + std::string(65533, 'x');
  jpeg.insert(2, repeated(comment, 60 << 20));
  check_file("JPEG: 60 MB of comments", jpeg, "", open_picture);
  jpeg.insert(2, repeated(comment, 5 << 20));
  check_file("JPEG: 65 MB of comments, few pixels allowed", jpeg, "larger than the limit",
             [](const std::string& path) { load_picture(path, {.max_pixels = 1000}); });
}

TEST_CASE("bombs: gzip a thousand to one") {
  const auto open = [](const std::string& path) { Tokenizer::load(path); };
  const TempDir dir;
  put_file(dir / "v.gz", zeros_packed(size_t{1} << 30, kGzip));
  check_bounded("gzip: 1 GiB of zeros", 64 << 20, "unpacks to more than",
                [&] { open(dir / "v.gz"); });
}

TEST_CASE("bombs: an archive full of code") {
  std::vector<ZipPart> parts = {{"m/data.pkl", pickle_of(dict({{"x", floats("0", 1)}}))},
                                {"m/data/0", "1234"}};
  const std::string code = zeros_packed(1 << 20, kRaw);
  for (int i = 0; i < 20'000; ++i)
    parts.push_back({"m/code/" + std::to_string(i) + ".py", code, 0, 8});
  // Its one tensor is no model's, which is found out first.
  check_file("zip: 20,000 entries of 1 MiB", zip_of(parts).bytes, "no tensor", open_model);
}

TEST_CASE("bombs: headers of safetensors") {
  std::string many = "{";
  for (int i = 0; i < 1'000'000; ++i)
    many += (i == 0 ? "\"" : ",\"") + std::to_string(i) +
            "\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}";
  check_file("safetensors: a million empty tensors", safetensors_of(many + '}'),
             "more than 16384 tensors", open_model);
  check_file("safetensors: 90 MB of lists", safetensors_of("{\"a\":" + repeated("[", 90 << 20)),
             "'a' is a list, not an object", open_model);
  check_file("safetensors: a name of 90 MB",
             safetensors_of("{\"" + repeated("x", 90 << 20) + "\":1}"), "a text of more than",
             open_model);
  check_file("safetensors: a name of 10 MB",
             safetensors_of("{\"" + repeated("x", 10'000'000) + "\":1}"), "is a number",
             open_model);
  check_file("safetensors: a text of 90 MB that goes on",
             safetensors_of("{\"" + repeated("\\\"", 90 << 20)), "a text of more than", open_model);
  std::string metadata = "{\"__metadata__\":{";
  for (int i = 0; i < 5'000'000; ++i)
    metadata += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":\"\"";
  check_file("safetensors: 5 million entries of metadata", safetensors_of(metadata + "}}"),
             "more than 16384 entries", open_model);
  const auto with_config = [](size_t depth, const std::string& format) {
    const std::string deep = "{\\\"embed_dim\\\":" + std::string(depth, '[');
    return safetensors_of("{\"__metadata__\":{\"format\":\"" + format + "\",\"config\":\"" + deep +
                          "\"}}");
  };
  check_file("safetensors: a configuration 9 million deep", with_config(9'000'000, "diptych"),
             "the limit is 1048576", open_model);
  check_file("safetensors: a configuration a million deep", with_config(1'000'000, "diptych"),
             "nested deeper than 64", open_model);
  for (const size_t depth : {1'000'000u, 9'000'000u})  // another program's: not looked into
    check_file("safetensors: somebody's deep configuration", with_config(depth, "pt"),
               "no configuration and no tensor", open_model);
}

TEST_CASE("bombs: rows of tables, and captions") {
  const TempDir dir;
  put_file(dir / "p.png", golden_pictures()[0].bytes);
  const auto open_table = [](const std::string& path) { read_pair_table(path); };
  const std::string head = "filepath\ttitle\n";
  put_file(dir / "line.tsv", head + "p.png\t");
  std::filesystem::resize_file(dir / "line.tsv", uintmax_t{1} << 30);
  check_bounded("table: a line of 1 GiB of NULs", 0, "line 2, byte 21 from 0: a NUL",
                [&] { open_table(dir / "line.tsv"); });
  put_file(dir / "long.tsv", head + "p.png\t" + std::string(300 << 20, 'x'));
  check_bounded("table: a line of 300 MB", 0, "a row that goes on",
                [&] { open_table(dir / "long.tsv"); });
  put_file(dir / "quote.tsv", head + "p.png\t\"" + repeated("a b\n", 300 << 20));
  check_bounded("table: a quote of 300 MB", 0, "a row that goes on",
                [&] { open_table(dir / "quote.tsv"); });
  put_file(dir / "fields.tsv", head + std::string(100 << 20, '\t'));
  check_bounded("table: a row of 10^8 fields", 0, "more than 65536 fields",
                [&] { open_table(dir / "fields.tsv"); });
  put_file(dir / "header.tsv", repeated("column\t", 100 << 20));
  check_bounded("table: a header of 10^7 columns", 0, "more than 65536 fields",
                [&] { open_table(dir / "header.tsv"); });
}

TEST_CASE("bombs: a caption of any length costs one sample") {
  const TempDir dir;
  put_file(dir / "p.png", golden_pictures()[0].bytes);
  const std::string head = "filepath\ttitle\n";
  for (const auto& [what, caption] :
       {std::pair<const char*, std::string>{"2 MB", std::string(2 << 20, 'x')},
        {"100 MB", std::string(100 << 20, 'x')},
        {"a million &amp;", repeated("&amp;", 5'000'000)}}) {
    put_file(dir / "t.tsv", head + "p.png\ta\np.png\t" + caption + "\np.png\tb\n");
    check_bounded(std::string("table: a caption of ") + what, 0, "its caption is longer", [&] {
      const PairDataset data(read_pair_table(dir / "t.tsv"), Preprocess{}, 0, false);
      check(data.size() == 3, data.size(), " pairs");
      data.get(0, 0);
      data.get(2, 0);
      data.get(1, 0);
    });
    put_file(dir / "p.txt", caption);
    check_bounded(std::string("folder: a text of ") + what, 0, "larger than the limit of 65536",
                  [&] { read_pair_folder(dir.path()); });
  }
}

TEST_CASE("bombs: the longest text that is tokenized, whatever it says") {
  const Tokenizer tokenizer = Tokenizer::train(std::vector<std::string>{"a photo of a cat"}, 600);
  const auto most = static_cast<size_t>(kMaxTextBytes);
  for (const std::string& part :
       {std::string("x"), std::string("cat "), std::string("&amp;"), std::string("amp;"),
        std::string("&#"), std::string("\x1b[1;"), std::string("Ã©"), std::string("ÃƒÂ©"),
        std::string("ÃƒÆ’Ã‚Â©"), std::string("a\u0301\u0300"), std::string("Σ."), std::string("ﷺ"),
        std::string("'"), std::string("\n"), std::string("<|endoftext|>"), std::string("\xff")}) {
    std::string text = '&' + repeated(part, most);
    text.resize(most);
    check_bounded("text: " + in_quotes(part), 0, "",
                  [&] { tokenizer.tokenize(text, 77, Overflow::truncate); });
  }
  check_bounded("text: too long", 0, "a text of 65537 bytes",
                [&] { tokenizer.tokenize(std::string(most + 1, 'x'), 77, Overflow::truncate); });
}
