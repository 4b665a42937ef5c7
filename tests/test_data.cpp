// tests/test_data.cpp — pairs, folders, Fashion-MNIST in grey and in colour.
#include <doctest/doctest.h>
#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include "data/pairs.h"
#include "data/picture_files.h"
#include "data/text/texts.h"
#include "data/tinted_fashion.h"
#include "tensor/io/gzip.h"
#include "tests/files.h"

using namespace diptych;
using namespace diptych::test;
namespace fs = std::filesystem;

namespace {

// Writes NAME below `folder`, whose sub-folders come into being as needed.
void put_below(const TempDir& folder, const std::string& name, const std::string& bytes) {
  fs::create_directories(fs::path(folder / name).parent_path());
  put_file(folder / name, bytes);
}

std::string gzip(const std::string& bytes) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

template <class T>
std::vector<T> values(const Tensor& x) {
  return {x.data<T>(), x.data<T>() + x.numel()};
}

// n grey pictures whose pixels all have the value 100; picture i is garment i mod 10.
FashionMnist plain_fashion(int64_t n) {
  FashionMnist out;
  out.images.assign(static_cast<size_t>(n * FashionMnist::kPixels), 100);
  for (int64_t i = 0; i < n; ++i) out.labels.push_back(static_cast<uint8_t>(i % 10));
  return out;
}

std::string idx(const std::string& header, size_t bytes) { return header + std::string(bytes, 1); }

}  // namespace

TEST_CASE("pairs: a table gives paths below its folder and captions") {
  const PairList pairs = parse_pair_table(
      "title\tsize\tfilepath\na cat\t7\tcat.png\n\"say \"\"x\"\"\"\t8\t/abs/y.jpg\n", "dir", "t",
      PairOptions{});
  REQUIRE(pairs.size() == 2);
  CHECK(pairs.path(0) == "dir/cat.png");
  CHECK(pairs.caption(0) == "a cat");
  CHECK(pairs.path(1) == "/abs/y.jpg");
  CHECK(pairs.caption(1) == "say \"x\"");
}

TEST_CASE("pairs: a bad table is refused with file, line and columns") {
  const auto error = [](const char* text) {
    return error_of([&] { parse_pair_table(text, "", "t.csv", PairOptions{}); });
  };
  CHECK(contains(error(""), "the table is empty"));
  CHECK(contains(error("filepath\ttitle\n"), "no rows"));
  CHECK(contains(error("image\ttext\na\tb\n"), "no column 'filepath'; found 'image', 'text'"));
  CHECK(contains(error("filepath,title\na,b\n"), "--csv-separator"));
  CHECK(contains(error("filepath\ttitle\na\tb\nc\n"), "t.csv:3: 1 fields, the header has 2"));
  CHECK(contains(error("filepath\ttitle\n\tb\n"), "t.csv:2: no picture"));
  CHECK(contains(error_of([] { open_pairs("/nowhere/x.json"); }), "neither a folder nor"));
  CHECK(contains(error_of([] { open_pairs("/nowhere/x.tsv"); }), "/nowhere/x.tsv"));
}

TEST_CASE("pairs: a folder gives its pictures with texts, in the order of their paths") {
  const TempDir folder;
  CHECK(contains(error_of([&] { open_pairs(folder.path()); }), "left out: nothing"));
  for (const char* name : {"b.png", "a.JPG", "sub/c.jpeg", "lonely.png", "d.tif"})
    put_below(folder, name, "");
  for (const char* name : {"b.txt", "a.txt", "sub/c.txt", "d.txt", "e.txt"})
    put_below(folder, name, name);
  const PairSource source = open_pairs(folder.path());
  REQUIRE(source.pairs.size() == 3);
  CHECK(source.pairs.path(0) == folder / "a.JPG");
  CHECK(source.pairs.path(1) == folder / "b.png");
  CHECK(source.pairs.caption(2) == "sub/c.txt");
  REQUIRE(source.left_out.size() == 3);
  CHECK(source.left_out[0].name == folder / "lonely.png");
  CHECK(source.left_out[1].name == folder / "d.tif");
  CHECK(source.left_out[2].name == folder / "e.txt");
  CHECK(source.others.empty());
}

TEST_CASE("pairs: texts stay where they are while the list grows and moves") {
  PairList list;
  const std::string longest(static_cast<size_t>(kMaxTextBytes), 'x');
  const auto text = [](int64_t i) {
    return std::string(static_cast<size_t>(i * i * 7 % 3001), static_cast<char>('a' + i % 26));
  };
  list.add("first", longest);
  const std::string_view first = list.caption(0);
  for (int64_t i = 1; i < 2000; ++i) list.add("p" + std::to_string(i), text(i));
  const PairList moved = std::move(list);
  CHECK(moved.caption(0).data() == first.data());
  CHECK(moved.caption(0) == longest);
  REQUIRE(moved.size() == 2000);
  for (int64_t i = 1; i < 2000; ++i) {
    REQUIRE(moved.path(i) == "p" + std::to_string(i));
    REQUIRE(moved.caption(i) == text(i));
  }
}

TEST_CASE("pairs: a caption or a path that is too long makes a bad pair, which is named") {
  PairList list("dir");
  list.add("good", std::string(static_cast<size_t>(kMaxTextBytes), 'x'));
  list.add("long", std::string(static_cast<size_t>(kMaxTextBytes) + 1, 'x'));
  list.add(std::string(5000, 'p'), "caption");
  list.add_bad("given", "a reason");
  REQUIRE(list.size() == 4);
  list.check_good(0);
  CHECK(list.caption(0).size() == static_cast<size_t>(kMaxTextBytes));
  for (const int64_t i : {1, 2, 3}) CHECK(list.caption(i).empty());
  CHECK(contains(error_of([&] { list.check_good(1); }),
                 "dir/long: its caption is longer than 65536 bytes"));
  CHECK(contains(error_of([&] { list.check_good(2); }), "path is too long"));
  CHECK(contains(error_of([&] { list.check_good(3); }), "dir/given: a reason"));
  CHECK(list.path(2).size() < 4200);
}

TEST_CASE("pairs: training crops depend on (seed, epoch, index) alone; evaluation on nothing") {
  const TempDir folder;
  RgbImage image{40, 30, std::vector<uint8_t>(3 * 40 * 30)};
  for (size_t i = 0; i < image.rgb.size(); ++i) image.rgb[i] = static_cast<uint8_t>(i * 7 % 256);
  save_png(folder / "x.png", image);
  put_below(folder, "broken.png", encode_png(image).substr(0, 100));
  const auto pairs = [&] {
    PairList list(folder.path());
    list.add("x.png", "stripes");
    list.add("broken.png", "broken");
    return list;
  };
  const PairDataset training(pairs(), {.size = 16}, 1, true),
      evaluation(pairs(), {.size = 16}, 1, false);
  const auto pixels = [](const Dataset& data, int64_t epoch) {
    return values<uint8_t>(data.get(0, epoch).pixels);
  };
  CHECK(pixels(training, 3) == pixels(training, 3));
  CHECK(pixels(training, 3) != pixels(training, 4));
  CHECK(pixels(evaluation, 3) == pixels(evaluation, 4));
  CHECK(training.get(0, 0).caption == "stripes");
  CHECK(contains(error_of([&] { training.get(1, 0); }), "broken.png"));
  CHECK(contains(error_of([&] { training.get(2, 0); }), "no pair 2"));
}

TEST_CASE("gzip: contents come back; damage, truncation and bombs are refused") {
  const std::string text(10'000, 'x'), packed = gzip(text);
  CHECK(gunzip(packed, 10'000, "f") == text);
  CHECK(gunzip(packed + packed, 20'000, "f") == text + text);
  CHECK(gunzip(gzip(""), 0, "f") == "");
  CHECK(contains(error_of([&] { gunzip(packed, 9'999, "f"); }), "'f' unpacks to more than 9999"));
  for (size_t n = 0; n < packed.size(); ++n)
    REQUIRE(error_of([&] { gunzip(packed.substr(0, n), 10'000, "f"); }) != "");
  std::string damaged = packed;
  damaged[damaged.size() - 6] ^= 1;  // the checksum
  CHECK(contains(error_of([&] { gunzip(damaged, 10'000, "f"); }), "damaged"));
  CHECK(contains(error_of([&] { gunzip(packed + "junk", 10'000, "f"); }), "something else"));
}

TEST_CASE("fashion-mnist: idx files are checked against their headers") {
  const std::string images =
      idx(std::string("\0\0\x08\x03\0\0\0\x02\0\0\0\x1C\0\0\0\x1C", 16), 1568);
  const std::string labels = idx(std::string("\0\0\x08\x01\0\0\0\x02", 8), 2);
  CHECK(parse_fashion_mnist(images, labels, "t").size() == 2);
  const auto error = [](const std::string& i, const std::string& l) {
    return error_of([&] { parse_fashion_mnist(i, l, "t"); });
  };
  CHECK(contains(error(images + "x", labels), "'t-images' holds 1569 bytes"));
  CHECK(contains(error(images.substr(0, 10), labels), "cut short"));
  CHECK(contains(error(labels, labels), "cut short"));
  CHECK(contains(error(images, images), "magic number"));
  CHECK(contains(error(images, idx(std::string("\0\0\x08\x01\0\0\0\x03", 8), 3)), "3 labels"));
  std::string huge = images;
  huge[4] = '\x7F';
  CHECK(contains(error(huge, labels), "its header announces"));
  std::string label_ten = labels;
  label_ten.back() = 10;
  CHECK(contains(error(images, label_ten), "above 9"));
  CHECK(contains(error_of([] { load_fashion_mnist(true, "/nowhere"); }), "dataset-fashion-mnist"));
}

TEST_CASE("fashion-mnist: the Debian package holds 60,000 and 10,000 pictures") {
  if (!fs::exists(kFashionMnistFolder)) {
    MESSAGE("skipped: the package dataset-fashion-mnist is not installed");
    return;
  }
  const FashionMnist test = load_fashion_mnist(true);
  CHECK(test.size() == 10'000);
  CHECK(std::count(test.labels.begin(), test.labels.end(), 3) == 1000);
  const TintedFashion train({}), validation({.split = Split::validation});
  CHECK(train.size() == 55'000);
  CHECK(validation.size() == 5'000);
}

TEST_CASE("tinted fashion: 20 combinations are held out, two per garment, one or two per colour") {
  int total = 0;
  for (int garment = 0; garment < tinted::kGarments; ++garment) {
    int lost = 0;
    for (int colour = 0; colour < tinted::kColours; ++colour)
      lost += tinted::is_held_out(colour, garment);
    CHECK(lost == 2);
    total += lost;
  }
  CHECK(total == 20);
  for (int colour = 0; colour < tinted::kColours; ++colour) {
    int lost = 0;
    for (int garment = 0; garment < tinted::kGarments; ++garment)
      lost += tinted::is_held_out(colour, garment);
    CHECK((lost == 1 || lost == 2));
  }
}

TEST_CASE("tinted fashion: training never shows a held-out combination, evaluation all of them") {
  const TintedFashion train({}, plain_fashion(2400)),
      test({.split = Split::test}, plain_fashion(6000));
  CHECK(train.size() == 2200);
  std::set<int64_t> trained, tested;
  for (int64_t i = 0; i < train.size(); ++i) {
    const auto seen = train.view(i, 0);
    REQUIRE_FALSE(tinted::is_held_out(seen.colour, seen.garment));
    trained.insert(seen.colour * 10 + seen.garment);
  }
  int64_t unseen = 0;
  for (int64_t i = 0; i < test.size(); ++i) {
    const auto seen = test.view(i, i);  // the epoch makes no difference
    CHECK(seen.colour == test.view(i, 0).colour);
    unseen += tinted::is_held_out(seen.colour, seen.garment);
    tested.insert(seen.colour * 10 + seen.garment);
  }
  CHECK(trained.size() == 100);
  CHECK(tested.size() == 120);
  CHECK(unseen > 900);  // 1000 expected
  CHECK(unseen < 1100);
}

TEST_CASE("tinted fashion: label, caption and colour agree") {
  const TintedFashion train({.preprocess = {.size = 28, .mean = {0, 0, 0}, .std = {1, 1, 1}}},
                            plain_fashion(200));
  for (int64_t i = 0; i < 50; ++i) {
    const Example example = train.get(i, 7);
    const auto seen = train.view(i, 7);
    CHECK(example.label == seen.colour * 10 + seen.garment);
    CHECK(contains(example.caption, tinted::class_names()[static_cast<size_t>(example.label)]));
    const auto& rgb = tinted::colours()[static_cast<size_t>(seen.colour)].rgb;
    for (size_t c = 0; c < 3; ++c)
      CHECK(example.pixels.data<uint8_t>()[c] == std::round(100 * rgb[c] / 255.0));
  }
  CHECK(tinted::caption(0, 9, 0) == "a photo of a red ankle boot.");
  CHECK(train.name_of(3) == "fashion train 3");
  CHECK_THROWS_AS(train.get(train.size(), 0), Error);
}

TEST_CASE("tinted fashion: augmentation and captions without colour can be switched on") {
  FashionMnist dot = plain_fashion(120);
  std::fill(dot.images.begin(), dot.images.end(), uint8_t{0});
  for (int64_t i = 0; i < 120; ++i) dot.images[static_cast<size_t>(i * 784 + 10 * 28 + 5)] = 255;
  const TintedFashion plain({}, dot);
  const TintedFashion moved({.caption_without_colour = 1, .flip = true, .max_shift = 2}, dot);
  std::set<size_t> places;
  for (int64_t i = 0; i < moved.size(); ++i) {
    const auto lit = [](const RgbImage& image) {
      size_t at = 0;
      for (size_t p = 0; p < image.rgb.size(); ++p)
        if (image.rgb[p] > 0) at = p / 3;
      return at;
    };
    CHECK(lit(plain.view(i, 0).image) == 285);
    CHECK(plain.view(i, 0).colour == moved.view(i, 0).colour);  // options do not disturb each other
    CHECK_FALSE(contains(moved.view(i, 0).caption, tinted::colours()[2].name));
    places.insert(lit(moved.view(i, 0).image));
  }
  CHECK(places.size() > 25);  // of 25 shifts and their mirror images
  CHECK_THROWS_AS(TintedFashion({.max_shift = 28}, dot), Error);
}
