// tests/test_cli.cpp — the program as a user meets it: exit codes, messages, and a run from
// pictures to labels.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "clip/version.h"
#include "clip/weights/vocabulary.h"
#include "data/image/transform.h"
#include "tensor/io/npy.h"
#include "tensor/io/safetensors.h"
#include "tests/program.h"

using namespace diptych;
using namespace diptych::test;

TEST_CASE("cli: wrong usage exits with 2 and suggests") {
  REQUIRE_BINARY();
  Outcome r = diptych_run("trian");
  CHECK(r.exit_code == 2);
  CHECK(contains(r.err, "did you mean train?"));
  r = diptych_run("train --batchsize 3");
  CHECK(r.exit_code == 2);
  CHECK(contains(r.err, "did you mean --batch-size?"));
  CHECK(diptych_run("train --batch-size none").exit_code == 2);
  CHECK(diptych_run("train --batch-size 0").exit_code == 2);
  r = diptych_run("--help");
  CHECK(r.exit_code == 0);
  CHECK(contains(r.out, "classify"));
  CHECK(contains(diptych_run("train --help").out, "--max-bad-fraction"));
  r = diptych_run("train --preset fashoin");
  CHECK(r.exit_code == 2);
  CHECK(contains(r.err, "known: fashion"));
}

TEST_CASE("cli: --version names the version that heads the list of changes") {
  REQUIRE_BINARY();
  const Outcome r = diptych_run("--version");
  CHECK(r.exit_code == 0);
  CHECK(r.out == std::string("diptych ") + kVersion + '\n');
  const std::string changes = get_file("CHANGELOG.md");
  CHECK(changes.find(std::string("## ") + kVersion) == changes.find("## "));
}

TEST_CASE("cli: classify refuses what is no picture, by name, and goes on with the others") {
  REQUIRE_BINARY();
  const TempDir dir;
  const std::string start = "classify --model " + saved_model(dir) +
                            " --labels red,blue --templates " + (dir / "templates") + ' ';
  put_file(dir / "templates", "a {}\n");
  save_png(dir / "good.png", plain(20, 11, {255, 0, 0}));
  const std::string png = get_file(dir / "good.png");
  put_file(dir / "cut.png", png.substr(0, png.size() / 2));
  put_file(dir / "empty.png", "");
  put_file(dir / "text.jpg", "<html>not found</html>");
  for (const char* name : {"cut.png", "empty.png", "text.jpg", "absent.png"}) {
    CAPTURE(name);
    const Outcome r = diptych_run(start + (dir / name) + ' ' + (dir / "good.png"));
    CHECK(r.exit_code == 1);
    CHECK(contains(r.err, name));
    CHECK(contains(r.out, "good.png"));
    CHECK(contains(r.out, "red"));
  }
  const Outcome json = diptych_run(start + (dir / "good.png") + " --json");
  CHECK(json.exit_code == 0);
  const auto result = nlohmann::json::parse(json.out)["results"][0]["probabilities"];
  CHECK(result["red"].get<double>() + result["blue"].get<double>() == doctest::Approx(1));
}

TEST_CASE("cli: empty labels and unreadable models are errors") {
  REQUIRE_BINARY();
  const TempDir dir;
  const std::string model = saved_model(dir);
  save_png(dir / "p.png", plain(8, 8, {0, 0, 255}));
  const std::string picture = ' ' + (dir / "p.png");
  CHECK(contains(diptych_run("classify --model " + model + " --labels red,,blue" + picture).err,
                 "label 2"));
  CHECK(contains(diptych_run("classify --model " + model + picture).err,
                 "--labels or --labels-file"));
  std::string bytes = get_file(model);
  put_file(dir / "cut.safetensors", bytes.substr(0, bytes.size() - 7));
  const Outcome r =
      diptych_run("classify --model " + (dir / "cut.safetensors") + " --labels a,b" + picture);
  CHECK(r.exit_code == 1);
  CHECK(contains(r.err, "cut.safetensors"));
  const std::string text = "this sentence is far longer than the eight tokens that fit";
  put_file(dir / "texts", text);
  const std::string embed =
      "embed --model " + model + " --texts " + (dir / "texts") + " --out " + (dir / "e.npy");
  CHECK(contains(diptych_run(embed).err, "--truncate"));
  CHECK(diptych_run(embed + " --truncate --normalize").exit_code == 0);
  CHECK(load_npy(dir / "e.npy").shape() == Shape{1, 16});
}

TEST_CASE("cli: step dumps features, logits, loss and every gradient; NaN is refused") {
  REQUIRE_BINARY();
  const TempDir dir;
  const std::string model = saved_model(dir);
  save_npy(dir / "x.npy", randn({3, 3, 8, 8}, {1, 0}));
  save_npy(dir / "t.npy", from_vector<int64_t>({512, 3, 513, 512, 513, 0, 512, 4, 513}, {3, 3}));
  const std::string flags = " --tokens " + (dir / "t.npy") + " --dump " + (dir / "d.safetensors");
  CHECK(diptych_run("step --model " + model + " --pixels " + (dir / "x.npy") + flags).exit_code ==
        0);
  const SafeTensors dump = load_safetensors(dir / "d.safetensors");
  const auto parameters = load_safetensors(model).tensors;
  CHECK(dump.tensors.size() == parameters.size() + 4);
  for (const char* name : {"image_features", "text_features", "logits_per_image", "loss",
                           "grad.visual.conv1.weight"}) {
    CHECK(dump.find(name) != nullptr);
  }
  Tensor bad = zeros({3, 3, 8, 8});
  bad.slice(0, 2, 3).fill_(std::numeric_limits<double>::quiet_NaN());
  save_npy(dir / "nan.npy", bad);
  const Outcome r = diptych_run("step --model " + model + " --pixels " + (dir / "nan.npy") + flags);
  CHECK(r.exit_code == 1);
  CHECK(contains(r.err, "picture 2 contains NaN"));
}

TEST_CASE("cli: tokenize and preprocess print and write what a model would see") {
  REQUIRE_BINARY();
  const TempDir dir;
  const std::string model = saved_model(dir);
  const Tokenizer tokenizer = squares_tokenizer();
  const Outcome r = diptych_run("tokenize --model " + model, "a red one\n\n");
  CHECK(r.exit_code == 0);
  const std::string start = std::to_string(tokenizer.start_token()),
                    end = std::to_string(tokenizer.end_token());
  CHECK(r.out.substr(0, start.size()) == start);
  CHECK(contains(r.out, '\n' + start + ' ' + end + '\n'));
  const Outcome specials = diptych_run("tokenize --specials --model " + model, "<|endoftext|>\n");
  CHECK(specials.out == start + ' ' + end + ' ' + end + '\n');
  save_png(dir / "p.png", plain(30, 20, {255, 128, 0}));
  CHECK(diptych_run("preprocess --size 16 " + (dir / "p.png") + " --out " + (dir / "p.npy"))
            .exit_code == 0);
  const auto pixels = load_npy(dir / "p.npy");
  CHECK(pixels.shape() == Shape{1, 3, 16, 16});
  CHECK(pixels.to_vector<double>()[0] == doctest::Approx((1 - 0.48145466) / 0.26862954));
  const std::string longest = "preprocess --size 16 --mode longest --out " + (dir / "p.npy") + ' ';
  CHECK(diptych_run(longest + (dir / "p.png")).exit_code == 0);
  CHECK(load_npy(dir / "p.npy").to_vector<double>()[0] ==
        doctest::Approx(-0.48145466 / 0.26862954));  // the margin above
}

TEST_CASE("cli: a flag or a name that nothing would read is refused") {
  REQUIRE_BINARY();
  const TempDir dir;
  const std::string model = saved_model(dir);
  CHECK(diptych_run("info tiny --image-size 33").exit_code == 2);
  CHECK(diptych_run("info " + model + " --sha256 ''").exit_code == 2);
  CHECK(diptych_run("convert " + model + ' ' + (dir / "out.pt")).exit_code == 2);
  CHECK(diptych_run("preprocess --model " + model + " --size 8 --out x.npy x.png").exit_code == 2);
  CHECK(contains(diptych_run("info tiny --text-length 99").err, "the model reads 16 tokens"));
  CHECK(contains(diptych_run("gradcheck gelu nosuch").err, "'nosuch'"));
  CHECK(contains(diptych_run("gradcheck Matmull").err, "did you mean matmul?"));
  CHECK(contains(diptych_run("gradcheck QUICK_GELU").out, "quick_gelu"));
  put_file(dir / "manifest.json", "{}");
  const std::string target = dir / "new.safetensors";
  CHECK(contains(diptych_run("convert " + model + ' ' + target).err, "would damage"));
}

namespace {

// As many merges as OpenAI's file has: of pairs of bytes.
std::string merges_of_openai_size() {
  const Tokenizer bytes = Tokenizer::train({"a"}, Tokenizer::kSmallest);
  std::string text = "#version: 0.2\n";
  for (int64_t k = 0; k < Tokenizer::kOpenAiMerges; ++k)
    text += bytes.spelling(k / 256) + ' ' + bytes.spelling(k % 256) + '\n';
  return text;
}

}  // namespace

TEST_CASE("cli: a model with OpenAI's vocabulary finds it beside itself, or says how to get it") {
  REQUIRE_BINARY();
  const TempDir dir;
  ModelConfig config = tiny_config();
  config.text.vocab_size = kOpenAiVocabulary;
  Clip model(config);
  model.initialize(1);
  save_model(dir / "m.safetensors", model, nullptr);
  put_file(dir / "texts", "red\n");
  const std::string embed = "embed --model " + (dir / "m.safetensors") + " --texts " +
                            (dir / "texts") + " --out " + (dir / "e.npy");
  put_file(dir / kVocabularyName, "no merges");
  Outcome r = diptych_run(embed, "", "DIPTYCH_VOCAB=");
  CHECK(r.exit_code == 1);
  CHECK(contains(r.err, (dir / kVocabularyName)));  // found, and refused
  put_file(dir / kVocabularyName, squares_tokenizer().merges_text());
  CHECK(contains(diptych_run(embed, "", "DIPTYCH_VOCAB=").err, "was made for 49408"));
  put_file(dir / kVocabularyName, merges_of_openai_size());
  CHECK(diptych_run(embed, "", "DIPTYCH_VOCAB=").exit_code == 0);
  r = diptych_run(embed, "", "DIPTYCH_VOCAB=" + (dir / "absent"));
  CHECK(r.exit_code == 1);
  CHECK(contains(r.err, "DIPTYCH_VOCAB names"));
}

TEST_CASE("cli: from a table of one's own pictures to their labels") {
  REQUIRE_BINARY();
  const TempDir dir;
  const std::vector<std::pair<std::string, std::array<uint8_t, 3>>> colours = {
      {"yellow", {240, 230, 20}}, {"blue", {20, 20, 220}}};  // `tiny` sees grey only
  std::string table = "filepath\ttitle\n";
  for (int i = 0; i < 24; ++i) {
    const auto& [name, rgb] = colours[static_cast<size_t>(i % 2)];
    const std::string file = "p" + std::to_string(i) + ".png";
    save_png(dir / file, plain(30 + 3 * i, 40 + i, rgb));
    table += file + "\ta " + name + " thing\n";
  }
  put_file(dir / "broken.png", "no picture");
  put_file(dir / "my.tsv", table + "broken.png\ta broken thing\n");
  const std::string train = "train --model tiny --train-data " + (dir / "my.tsv") + " --logs " +
                            dir.path() + " --name mine --batch-size 8 --epochs 8 --lr 1e-";
  Outcome r = diptych_run(train + "3");
  CHECK(r.exit_code == 1);  // one of 25 is more than the default 1 %
  CHECK(contains(r.err, "--max-bad-fraction"));
  r = diptych_run(train + "3 --max-bad-fraction 0.05 --name mine2");
  CAPTURE(r.err);
  REQUIRE(r.exit_code == 0);
  CHECK(contains(get_file(dir / "mine2/bad_samples.tsv"), "broken.png"));
  CHECK(contains(get_file(dir / "mine2/params.json"), "\"batch_size\": 8"));
  r = diptych_run("classify --model " + (dir / "mine2") +
                  " --labels \"yellow thing,blue thing\" --templates " +
                  [&] {
                    put_file(dir / "templates", "a {}\n");
                    return dir / "templates";
                  }() +
                  " --json " + (dir / "p2.png") + ' ' + (dir / "p3.png"));
  CAPTURE(r.err);
  REQUIRE(r.exit_code == 0);
  const auto results = nlohmann::json::parse(r.out)["results"];
  CHECK(results[0]["probabilities"]["yellow thing"].get<double>() > 0.9);
  CHECK(results[1]["probabilities"]["blue thing"].get<double>() > 0.9);
  r = diptych_run(train + "3 --max-bad-fraction 0.05 --name mine2 --resume latest --seed 5");
  CHECK(r.exit_code == 1);
  CHECK(contains(r.err, "seed was 0, now it is 5"));
}
