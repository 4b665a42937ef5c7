// tests/test_labels.cpp — names of classes as people have them: twice, alone, for folders with
// other names; and what eval, tokenize and preprocess show.
#include <nlohmann/json.hpp>

#include "clip/eval/prompts.h"
#include "clip/eval/report.h"
#include "clip/eval/zero_shot.h"
#include "tensor/io/npy.h"
#include "tests/program.h"

using namespace diptych;
using namespace diptych::test;

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using Names = std::vector<std::string>;

void put_picture(const std::string& path, std::array<uint8_t, 3> rgb) {
  fs::create_directories(fs::path(path).parent_path());
  save_png(path, plain(8, 8, rgb));
}

}  // namespace

TEST_CASE(
    "labels: a file may hold a name twice or only one, with blanks around, but no empty line") {
  const TempDir dir;
  put_file(dir / "l", " missile\t\r\ncat  \r\nmissile\n\n \n");
  CHECK(read_labels(dir / "l") == Names{"missile", "cat", "missile"});
  CHECK(repeated_labels({"a", "b"}) == "");
  CHECK(repeated_labels({"m", "b", "m", "c", "m"}) == "'m' is label 1 and 3 and more");
  CHECK(contains(repeated_labels({"a", "b", "c", "d", "e", "a", "b", "c", "d", "e"}),
                 "'c' is label 3 and 8, and 2 others repeat"));
  put_file(dir / "l", "cat\n\t \ndog\n");
  CHECK(contains(error_of([&] { read_labels(dir / "l"); }), "label 2 of"));
  put_file(dir / "l", "\n \n");
  CHECK(contains(error_of([&] { read_labels(dir / "l"); }), "there is none in"));
}

TEST_CASE(
    "labels: both rows of a name that stands twice are the same bits, and the first one wins") {
  const Tokenizer tokenizer = squares_tokenizer();
  ModelConfig config = tiny_config();
  config.text.vocab_size = tokenizer.vocab_size();
  Clip model(config);
  model.initialize(2);
  const Tensor pixels = randn({3, 3, 8, 8}, {4, 0});
  for (int64_t classes = 2; classes < 40; ++classes) {
    CAPTURE(classes);
    Names names;
    for (int64_t k = 0; k < classes; ++k) names.push_back(kWords[static_cast<size_t>(k % 4)]);
    names.back() = names.front();
    const Tensor head = zero_shot_head(model, tokenizer, names, {"a {} one"});
    CHECK(same_bits(head.slice(0, 0, 1), head.slice(0, classes - 1, classes)));
    const Tensor logits = zero_shot_logits(model, head, pixels);
    CHECK(same_bits(logits.slice(1, 0, 1), logits.slice(1, classes - 1, classes)));
  }
}

TEST_CASE("labels: names for folders are lines of both or names in their order, else refused") {
  const TempDir dir;
  const Names folders{"n01", "n02", "n03"};
  const auto read = [&](const std::string& text) {
    put_file(dir / "l", text);
    return read_class_names(dir / "l", folders);
  };
  const auto error = [&](const std::string& text) { return error_of([&] { read(text); }); };
  ClassNames names = read("dog\r\ncat\r\ncat\r\n\r\n");
  CHECK(names.names == Names{"dog", "cat", "cat"});
  CHECK(contains(names.understood, "names in the order of the folders; 'n01' is 'dog', 'n03' is"));
  names = read("n03\tcat \nn01\tsea lion\n n02 \tdog");
  CHECK(names.names == Names{"sea lion", "dog", "cat"});
  CHECK(contains(names.understood, "folders with their names; 'n01' is 'sea lion'"));
  CHECK(contains(error("dog\ncat\n"), "has 2 names, there are 3 class folders"));
  CHECK(contains(error("a\nb\nc\nd\n"), "has 4 names, there are 3"));
  CHECK(contains(error("n01\tdog\ncat\nn03\tx\n"), "line 2 has 1 columns, others two"));
  CHECK(contains(error("n01\tdog\tx\n"), "line 1 has 3 columns"));
  CHECK(contains(error("n01\tdog\nn02\t \n"), "line 2 has no name"));
  CHECK(contains(error("n01\tdog\nn04\tcat\n"), "line 2: no class folder is called 'n04'"));
  CHECK(contains(error("n01\tdog\nn01\tcat\n"), "line 2: 'n01' has a name already"));
  CHECK(contains(error("n01\tdog\nn03\tcat\n"), "no name for the folder 'n02'; it names 2 of 3"));
  CHECK(contains(error("n01 dog\nn02 cat\nn03 cow\n"), "put a TAB behind it"));
  CHECK(contains(error("a\n\nb\n"), "label 2 of"));
}

TEST_CASE("cli: classify takes labels that repeat, one label, and gives cosines") {
  REQUIRE_BINARY();
  const TempDir dir;
  save_png(dir / "p.png", plain(8, 8, {255, 0, 0}));
  const std::string classify = "classify --model " + saved_model(dir) + ' ' + (dir / "p.png");
  Outcome r = diptych_run(classify + " --json --labels red,blue,red,grey");
  REQUIRE(r.exit_code == 0);
  CHECK(contains(r.err, "'red' is label 1 and 3; each is a class of its own"));
  const Json said = Json::parse(r.out), p = said["results"][0]["probabilities"];
  CHECK(said["labels"] == Json{"red", "blue", "red", "grey"});
  REQUIRE(p.size() == 4);
  double sum = 0;
  for (const auto& [key, value] : p.items()) sum += value.get<double>();
  CHECK(sum == doctest::Approx(1));
  CHECK(p["red"] == p["red (label 3)"]);
  r = diptych_run(classify + " --labels red");
  CHECK(r.exit_code == 0);
  CHECK(contains(r.out, "100.00 %"));
  CHECK(contains(r.err, "of one label the share is 100 %"));
  r = diptych_run(classify + " --cosines --labels red");
  CHECK(r.exit_code == 0);
  CHECK(r.err == "");
  CHECK(!contains(r.out, "%"));
  CHECK(
      contains(diptych_run(classify + " --labels " + (dir / "p.png")).err, "--labels-file reads"));
  // The same numbers as those of the features.
  const std::string model = (dir / "m.safetensors");
  put_file(dir / "t", "red\nblue\n");
  const std::string embed = "embed --normalize --model " + model;
  REQUIRE(diptych_run(embed + " --texts " + (dir / "t") + " --out " + (dir / "t.npy")).exit_code ==
          0);
  REQUIRE(
      diptych_run(embed + " --images " + (dir / "p.png") + " --out " + (dir / "p.npy")).exit_code ==
      0);
  r = diptych_run(classify + " --cosines --json --labels red,blue");
  const Json cosines = Json::parse(r.out)["results"][0]["cosines"];
  const auto t = load_npy(dir / "t.npy").to_vector<double>(),
             i = load_npy(dir / "p.npy").to_vector<double>();
  for (size_t k = 0; k < 2; ++k) {
    double dot = 0;
    for (size_t e = 0; e < i.size(); ++e) dot += i[e] * t[k * i.size() + e];
    CHECK(cosines[kWords[k == 0 ? 0 : 2]].get<double>() == doctest::Approx(dot).epsilon(1e-6));
  }
}

TEST_CASE("eval: rows of classes and confusions, by hand") {
  Predictions p;
  p.labels = {0, 0, 0, 1, 3, 3};
  p.ranked = {{0, 1}, {1, 0}, {1, 2}, {1, 0}, {0, 1}, {1, 0}};
  const auto rows = accuracy_by_class(p, 4);
  REQUIRE(rows.size() == 4);
  CHECK(rows[0].pictures == 3);
  CHECK(rows[0].acc1 == doctest::Approx(1.0 / 3));
  CHECK(rows[0].acc5 == doctest::Approx(2.0 / 3));
  CHECK(rows[2].pictures == 0);
  CHECK(rows[2].acc1 == 0);
  const auto pairs = confusions(p);
  REQUIRE(pairs.size() == 3);
  const auto is = [](const Confusion& c, int64_t label, int64_t taken, int64_t count) {
    return c.label == label && c.taken_for == taken && c.pictures == count;
  };
  CHECK(is(pairs[0], 0, 1, 2));
  CHECK(is(pairs[1], 3, 0, 1));
  CHECK(is(pairs[2], 3, 1, 1));
}

TEST_CASE(
    "report: the right answer stands there when it is none of the three, and names are text") {
  const TempDir dir;
  Predictions p;
  p.indices = {0, 2};  // 1 was left out
  p.labels = {0, 3};
  p.ranked = {{1, 0, 2}, {0, 1, 2}};
  std::vector<int64_t> asked;
  ReportSource source;
  source.names = {"a<b", "cats & dogs", "c", "right\nanswer", "a name of more than any cell holds"};
  source.picture = [&](int64_t index) {
    asked.push_back(index);
    return plain(2, 2, {0, 0, 0});
  };
  source.groups = {{"title", {0, 1}}};
  write_report(dir / "r", source, p);
  CHECK(asked == std::vector<int64_t>{0, 2});
  const std::string svg = get_file(dir / "r/report.svg");
  CHECK(contains(svg, ">a&lt;b<"));
  CHECK(contains(svg, ">cats &amp; dogs<"));
  CHECK(contains(svg, "#1a7f37\" font-size=\"11\">→ right answer<"));
  CHECK(!contains(svg, "→ a&lt;b"));
  p.labels[1] = 4;
  write_report(dir / "r", source, p);
  CHECK(contains(get_file(dir / "r/report.svg"), "→ a name of more than …<"));
  for (size_t n : {0, 1, 5, 12, 13, 100}) {
    Predictions many;
    many.labels.resize(n);
    const auto rows = spread_rows(many);
    CHECK(rows.size() == std::min<size_t>(n, 12));
    CHECK(std::adjacent_find(rows.begin(), rows.end(), std::greater_equal<>()) == rows.end());
  }
}

TEST_CASE("cli: eval of folders takes names from a file, and shows classes, confusions, a report") {
  REQUIRE_BINARY();
  const TempDir dir;
  for (const char* name : {"d/n01/1.png", "d/n01/2.png", "d/n02/1.png"})
    put_picture(dir / name, {255, 0, 0});
  put_picture(dir / "d/.ipynb_checkpoints/1.png", {1, 1, 1});
  put_file(dir / "d/n01/0.png", "broken");  // rows and pictures are not numbered alike
  const std::string eval = "eval --templates exact --max-bad-fraction 0.5 --model " +
                           saved_model(dir) + " --data " + (dir / "d") + " --labels-file " +
                           (dir / "l");
  put_file(dir / "l", "n02\tred\nn01\tblue\n");
  Outcome r = diptych_run(eval + " --report " + (dir / "r"));
  REQUIRE(r.exit_code == 0);
  CHECK(contains(r.err, "folders with their names; 'n01' is 'blue', 'n02' is 'red'"));
  CHECK(contains(r.out, "2 classes"));
  for (const char* part : {"class  ", "pictures      top-1      top-5", "blue (n01) ", "red (n02) ",
                           "all pictures", " taken for "})
    CHECK(contains(r.out, part));
  CHECK(contains(get_file(dir / "r/report.svg"), "3 of 3 pictures"));
  CHECK(get_file(dir / "r/labels.txt") == "blue\nred\n");
  CHECK(contains(get_file(dir / "r/classes.tsv"), "n01\tblue\t2\t"));
  CHECK(get_file(dir / "r/confusions.tsv").starts_with("folder\ttaken_for\tpictures\nn0"));
  r = diptych_run(eval + " --json");
  const Json said = Json::parse(r.out);
  CHECK(said["classes"][0]["folder"] == "n01");
  CHECK(said["classes"][0]["name"] == "blue");
  CHECK(said["classes"][0]["pictures"] == 2);
  CHECK(said["confusions"].size() == 1);
  const double right = said["metrics"]["acc1"].get<double>() * 3;
  CHECK(right + said["confusions"][0]["pictures"].get<double>() == doctest::Approx(3));
  // The names are what is asked for: the other way round, the same picture is right elsewhere.
  put_file(dir / "l", "red\nblue\n");
  const Json turned = Json::parse(diptych_run(eval + " --json").out);
  CHECK(turned["metrics"]["acc1"].get<double>() == doctest::Approx(1 - right / 3));
  put_file(dir / "l", "red\n");
  CHECK(contains(diptych_run(eval).err, "has 1 names, there are 2 class folders"));
  put_file(dir / "l", "red\nred\n");
  r = diptych_run(eval);
  CHECK(r.exit_code == 0);
  CHECK(contains(r.err, "'red' is label 1 and 2"));
  CHECK(diptych_run("eval --model m --data fashion --labels-file l").exit_code == 2);
}

TEST_CASE("cli: tokenize shows pieces, reads every editor's texts, and refuses others by line") {
  REQUIRE_BINARY();
  const TempDir dir;
  const std::string tokenize = "tokenize --model " + saved_model(dir);
  const Tokenizer tokenizer = squares_tokenizer();
  Outcome r = diptych_run(tokenize + " --pieces", "red \xc3\xa9\r\nblue");
  REQUIRE(r.exit_code == 0);
  const std::string start = std::to_string(tokenizer.start_token());
  CHECK(r.out.starts_with(start + ":<|startoftext|> "));
  CHECK(contains(r.out, ":\xc3\x83 "));  // the vocabulary's letter for the byte C3
  CHECK(contains(r.out, ":<|endoftext|>\n" + start));
  std::string pieces;
  std::istringstream words(r.out.substr(0, r.out.find('\n')));
  for (std::string word; words >> word;) pieces += word.substr(word.find(':') + 1);
  CHECK(pieces.starts_with("<|startoftext|>red</w>"));
  const Json said = Json::parse(diptych_run(tokenize + " --pieces --json", "red\n\n").out);
  CHECK(said["texts"][0]["text"] == "red");
  CHECK(said["texts"][0]["ids"].size() == said["texts"][0]["pieces"].size());
  CHECK(said["texts"][1]["ids"] == Json{tokenizer.start_token(), tokenizer.end_token()});
  const std::string plain_ids = diptych_run(tokenize, "red\nblue\n").out;
  CHECK(diptych_run(tokenize, "\xef\xbb\xbfred\r\nblue").out == plain_ids);
  CHECK(diptych_run(tokenize, std::string("\xff\xfer\0e\0d\0\r\0\n\0b\0l\0u\0e\0", 20)).out ==
        plain_ids);
  r = diptych_run(tokenize, "red\ncaf\xe9\n");
  CHECK(r.exit_code == 1);
  CHECK(contains(r.err, "stdin: line 2, byte 7"));
  CHECK(contains(diptych_run(tokenize, std::string("a\0", 2)).err, "a NUL"));
  const std::string longest(3 << 20, 'x');
  CHECK(contains(diptych_run(tokenize, longest).err, "stdin: line 1 has more than"));
}

TEST_CASE("cli: preprocess --png shows what the model sees") {
  REQUIRE_BINARY();
  const TempDir dir;
  put_picture(dir / "d/a.png", {255, 128, 3});
  put_picture(dir / "d/b.png", {0, 17, 200});
  const std::string command = "preprocess --size 16 --json --png " + (dir / "o.png") + ' ';
  const Outcome r = diptych_run(command + (dir / "d"));
  REQUIRE(r.exit_code == 0);
  CHECK(Json::parse(r.out)["shape"] == Json{2, 3, 16, 16});
  const Picture seen = load_picture(dir / "o.png");
  CHECK(seen.width == 16);
  REQUIRE(seen.height == 32);
  const auto pixel = [&](size_t y) {
    return std::vector<int>(seen.samples.begin() + static_cast<int>(48 * y),
                            seen.samples.begin() + static_cast<int>(48 * y + 3));
  };
  CHECK(pixel(0) == std::vector<int>{255, 128, 3});
  CHECK(pixel(15) == pixel(0));
  CHECK(pixel(16) == std::vector<int>{0, 17, 200});
  CHECK(diptych_run("preprocess " + (dir / "d/a.png")).exit_code == 2);
}
