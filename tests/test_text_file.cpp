// tests/test_text_file.cpp — texts of every editor: UTF-8 and UTF-16 by their marks, the rest
// refused by line and byte; and that every file of texts goes through the one reader.
#include "clip/eval/prompts.h"
#include "data/pairs.h"
#include "data/text/unicode.h"
#include "tensor/io/text_file.h"
#include "tests/program.h"

using namespace diptych;
using namespace diptych::test;

namespace {

// As an editor of Windows saves it; `text` has letters below U+0100 only.
std::string utf16(const std::string& text, bool little, const std::string& mark) {
  std::string out = mark;
  for (const char c : text) out += little ? std::string{c, '\0'} : std::string{'\0', c};
  return out;
}

const std::string kLittle = "\xff\xfe", kBig = "\xfe\xff", kUtf8 = "\xef\xbb\xbf";

std::string decode(const std::string& bytes, size_t piece) {
  TextDecoder decoder("test");
  std::string out;
  for (size_t at = 0; at < bytes.size(); at += piece) out += decoder.next(bytes.substr(at, piece));
  return out + decoder.finish();
}

std::string refusal(const std::string& bytes) {
  return error_of([&] { decode(bytes, 1000); });
}

}  // namespace

TEST_CASE("text file: UTF-8 and UTF-16 with their marks are the same text, however it is cut") {
  const std::string text = "z\xc3\xa4hlt \xe2\x82\xac\r\n\xf0\x9f\x90\xb1\n";  // ä, €, a cat
  const std::string little("\xff\xfez\0\xe4\0h\0l\0t\0 \0\xac\x20\r\0\n\0\x3d\xd8\x31\xdc\n\0", 26);
  std::string big = little;
  for (size_t i = 0; i < big.size(); i += 2) std::swap(big[i], big[i + 1]);
  for (const std::string& bytes : {text, kUtf8 + text, little, big}) {
    for (const size_t piece : {1, 2, 3, 5, 7, 1000}) CHECK(decode(bytes, piece) == text);
  }
  for (const std::string& mark : {std::string(), kUtf8, kLittle, kBig})
    CHECK(decode(mark, 1) == "");
  CHECK(decode("a", 1) == "a");
}

TEST_CASE("text file: what is neither is refused with line, byte and remedy") {
  CHECK(contains(refusal("cat\ncaf\xe9\n"),
                 "test: line 2, byte 7 from 0: what stands there is not "
                 "UTF-8; save it as UTF-8, or as UTF-16"));
  for (const char* bytes : {"\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80",
                            "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\x80", "\xc3"}) {
    CHECK(contains(refusal(bytes), "line 1, byte 0 from 0"));
    CHECK(contains(refusal(kUtf8 + "a\n" + bytes), "line 2, byte 5 from 0"));
  }
  CHECK(contains(error_of([] { decode("a\nb\n\xff", 1); }), "line 3, byte 4 from 0"));
  CHECK(contains(refusal(utf16("cat\n", true, "")), "byte 1 from 0: a NUL, as in UTF-16 without"));
  CHECK(contains(refusal(utf16("cat\n", false, "")), "byte 0 from 0: a NUL"));
  CHECK(contains(refusal(utf16("a\nb", true, kLittle) + "\x31\xdc"),
                 "line 2, byte 8 from 0: half a character of UTF-16"));
  CHECK(contains(refusal(kLittle + "\x3d\xd8" + utf16("a", true, "")), "byte 2 from 0: half a"));
  CHECK(contains(refusal(kBig + "\xd8\x3d"), "byte 2 from 0: half a"));
  CHECK(contains(refusal(utf16("a", true, kLittle) + "b"), "byte 4 from 0: half a"));
  CHECK(contains(refusal(utf16(std::string("a\0", 2), true, kLittle)), "byte 4 from 0: a NUL"));
  CHECK(contains(refusal(std::string("\xff\xfe\0\0a\0\0\0", 8)), "byte 2 from 0: a NUL"));
}

TEST_CASE("text file: lines end as on Unix or on Windows, and the last one as it likes") {
  const TempDir dir;
  const auto lines = [&](const std::string& text) {
    put_file(dir / "lines", text);
    return read_lines(dir / "lines", 1 << 20);
  };
  using Lines = std::vector<std::string>;
  CHECK(lines("one\r\n two \n\nlast") == Lines{"one", " two ", "", "last"});
  CHECK(lines("one\n\n") == Lines{"one", ""});
  CHECK(lines("a\rb\r") == Lines{"a\rb"});
  CHECK(lines("").empty());
  CHECK(lines(utf16("cat\r\ndog\r\n", true, kLittle)) == Lines{"cat", "dog"});
  put_file(dir / "long", "a\n" + std::string((1 << 20) + 1, 'x'));
  CHECK(contains(error_of([&] { read_lines(dir / "long", 1 << 22); }), "long': line 2 has more"));
  const std::string longer(3 << 20, 'x');  // more than a piece, and a character across its end
  CHECK(contains(error_of([&] { lines(longer); }), "is larger than the limit of 1048576 bytes"));
  const std::string cut = std::string((1 << 20) - 1, 'x') + "\xc3\xa4\n\xff";
  put_file(dir / "cut", cut);
  CHECK(contains(error_of([&] { read_lines(dir / "cut", 1 << 21); }),
                 "cut': line 2, byte 1048578 from 0"));
}

TEST_CASE("text file: labels, templates, tables, captions and vocabularies are read by it") {
  const TempDir dir;
  const std::string merges = squares_tokenizer().merges_text();
  const auto check_all = [&](const auto& saved) {
    const auto put = [&](const std::string& name, const std::string& text) {
      put_file(dir / name, saved(text));
      return dir / name;
    };
    CHECK(read_labels(put("labels", "cat\ndog\n")) == std::vector<std::string>{"cat", "dog"});
    CHECK(prompt_templates(put("templates", "a {}\n")) == std::vector<std::string>{"a {}"});
    const PairList table = read_pair_table(put("t.tsv", "filepath\ttitle\n1.png\ta cat\n"));
    CHECK(table.caption(0) == "a cat");
    save_png(dir / "f.png", plain(8, 8, {1, 2, 3}));
    put("f.txt", "a dog");
    CHECK(read_pair_folder(dir.path()).pairs.caption(0) == "a dog");
    CHECK(Tokenizer::load(put("merges", merges)).merges_text() == merges);
  };
  check_all([](const std::string& text) { return text; });
  check_all([](const std::string& text) { return kUtf8 + text; });
  const auto windows = [](const std::string& text) {
    std::string out = kLittle;
    for (const char32_t c : decode_utf8(text))
      out += {static_cast<char>(c), static_cast<char>(c >> 8)};
    return out;
  };
  check_all(windows);
  put_file(dir / "t.tsv", "filepath\ttitle\n1.png\tcaf\xe9\n");
  CHECK(contains(error_of([&] { read_pair_table(dir / "t.tsv"); }), "t.tsv': line 2, byte 24"));
  put_file(dir / "f.txt", "caf\xe9");
  put_file(dir / "g.txt", "good");
  save_png(dir / "g.png", plain(8, 8, {1, 2, 3}));
  const PairSource folder = read_pair_folder(dir.path());
  CHECK(folder.pairs.size() == 1);
  REQUIRE(folder.left_out.size() >= 1);
  CHECK(contains(naming(folder.left_out), "f.txt': line 1, byte 3 from 0"));
}
