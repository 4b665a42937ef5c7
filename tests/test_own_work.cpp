// tests/test_own_work.cpp — training one's own: architectures, weights, data that tell.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "clip/weights/model_spec.h"
#include "clip/weights/run_folder.h"
#include "tests/program.h"

using namespace diptych;
using namespace diptych::test;

namespace {

nlohmann::json params_of(const TempDir& dir, const std::string& run) {
  return nlohmann::json::parse(get_file(dir / (run + "/params.json")));
}

/// The flags of small_run for another architecture and name.
std::string with(const std::string& flags, const std::string& from, const std::string& to) {
  std::string text = flags;
  return text.replace(text.find(from), from.size(), to);
}

std::string model_of(const TempDir& dir, const std::string& run) {
  return newest_checkpoint(dir / run) + "/model.safetensors";
}

}  // namespace

TEST_CASE("own work: an architecture is a preset, a file, or either with changes") {
  const TempDir dir;
  put_file(dir / "m.json", to_json(preset("tiny")));
  CHECK(to_json(model_from(dir / "m.json")) == to_json(preset("tiny")));
  const ModelConfig c = model_from("tiny", {"vision.transformer.layers=6", "text.width=48"});
  CHECK(c.vit()->transformer.layers == 6);
  CHECK(c.text.transformer.width == 48);
  CHECK(c.text.transformer.mlp_width == 192);  // four times as wide, as it was
  CHECK(model_from("tiny", {"text.width=48", "text.mlp_width=50"}).text.transformer.mlp_width ==
        50);
  CHECK(to_json(model_from("tiny", {"text.type=cbow"})) == to_json(preset("tiny-cbow")));
  const auto refused = [](const std::string& change) {
    return error_of([&] { model_from("tiny", {change}); });
  };
  CHECK(contains(refused("vision.layer=6"), "did you mean vision.layers?"));
  CHECK(contains(refused("vision.layers"), "is no key=value"));
  CHECK(contains(refused("vision.layers=six"), "vision.layers"));
  CHECK(contains(refused("text.heads=5"), "must be a multiple of heads"));
  put_file(dir / "odd.json", with(to_json(preset("tiny")), "\"patch_size\"", "\"patch_sise\""));
  const std::string odd = error_of([&] { model_from(dir / "odd.json"); });
  CHECK(contains(odd, "odd.json"));
  CHECK(contains(odd, "patch_size is missing"));
}

TEST_CASE("own work: every command prints one JSON object if asked to") {
  REQUIRE_BINARY();
  std::istringstream help(diptych_run("--help").out);
  int commands = 0;
  bool listed = false;
  for (std::string line; std::getline(help, line);) {
    std::istringstream words(line);
    std::string name;
    if (listed && words >> name) {
      CAPTURE(name);
      CHECK(contains(diptych_run(name + " --help").out, "--json"));
      ++commands;
    }
    listed = listed || line.starts_with("Subcommands");
  }
  CHECK(commands >= 13);
  const TempDir dir;
  const Outcome run = diptych_run(small_run(dir, 1) + "--json");
  const auto result = nlohmann::json::parse(run.out);
  CHECK(result["step"] == 2);
  CHECK(result["checkpoint"] == checkpoint_path(dir / "run", 2));
}

TEST_CASE("own work: train --model FILE.json --set, and info of the same") {
  REQUIRE_BINARY();
  const TempDir dir;
  put_file(dir / "m.json", to_json(preset("tiny")));
  const std::string flags = with(small_run(dir, 1), "--model tiny",
                                 "--model " + (dir / "m.json") + " --set vision.layers=2");
  const Outcome run = diptych_run(flags);
  CHECK_MESSAGE(run.exit_code == 0, run.err);
  CHECK(params_of(dir, "run")["model"]["vision"]["layers"] == 2);
  const Outcome info = diptych_run("info " + (dir / "m.json") + " --set vision.layers=2 --json");
  CHECK(nlohmann::json::parse(info.out)["config"]["vision"]["layers"] == 2);
}

TEST_CASE("own work: --pretrained begins with weights and vocabulary, and says what does not fit") {
  REQUIRE_BINARY();
  const TempDir dir;
  const std::string first = small_run(dir, 1);
  REQUIRE(diptych_run(first).exit_code == 0);
  const std::string again = with(with(first, "--model tiny", "--pretrained " + (dir / "run")),
                                 "--name run", "--name tuned --lr 0 --wd 0 --lock-image");
  const Outcome tuned = diptych_run(again);
  CHECK_MESSAGE(tuned.exit_code == 0, tuned.err);
  const LoadedModel before = load_model(model_of(dir, "run")),
                    after = load_model(model_of(dir, "tuned"));
  CHECK(after.words().merges_text() == before.words().merges_text());
  const auto a = before.model->state(), b = after.model->state();
  for (size_t i = 0; i < a.size(); ++i) CHECK(same_bits(a[i].tensor, b[i].tensor));
  const Outcome other = diptych_run(with(again, "--pretrained", "--model small --pretrained"));
  CHECK(other.exit_code == 1);
  CHECK(contains(other.err, "does not fit --model small"));
  CHECK(contains(other.err,
                 "'visual.conv1.weight' is (96, 1, 7, 7), the model needs (192, 3, 8, 8)"));
  const Outcome none = diptych_run(with(again, "--pretrained " + (dir / "run"), "--image-size 56"));
  CHECK(none.exit_code == 2);
}

TEST_CASE("own work: --resume repeats the flags of its run, from any of its names") {
  REQUIRE_BINARY();
  const TempDir dir;
  const std::string whole = small_run(dir, 2) + "--lr 3e-3 --set vision.layers=1 ";
  REQUIRE(diptych_run(with(whole, "--name run", "--name whole")).exit_code == 0);
  for (const std::string& how :
       {"--resume " + (dir / "run"), "--resume latest --name run --logs " + dir.path(),
        "--resume " + (dir / "run") + "/checkpoints/step_00000002"}) {
    CAPTURE(how);
    std::filesystem::remove_all(dir / "run");
    REQUIRE(diptych_run(whole).exit_code == 0);
    std::filesystem::remove_all(dir / "run/checkpoints/step_00000004");
    const Outcome resumed = diptych_run("train " + how);
    CHECK_MESSAGE(resumed.exit_code == 0, resumed.err);
    CHECK(get_file(model_of(dir, "run")) == get_file(model_of(dir, "whole")));
  }
  const Outcome elsewhere = diptych_run("train --name new --resume " + (dir / "run"));
  CHECK(elsewhere.exit_code == 1);
  CHECK(contains(elsewhere.err, "or begin a new run with its weights: --pretrained"));
  const Outcome longer = diptych_run("train --epochs 5 --resume " + (dir / "run"));
  CHECK(longer.exit_code == 1);
  CHECK(contains(longer.err, "epochs was 2, now it is 5"));
  CHECK(contains(longer.err, "begin a new one with --pretrained"));
}

TEST_CASE("own work: validation data that is training data is counted and refused") {
  REQUIRE_BINARY();
  const TempDir dir;
  const std::string flags = small_run(dir, 1);
  std::filesystem::create_directory_symlink(dir.path(), dir / "elsewhere");
  put_file(dir / "v.tsv", "filepath\ttitle\nelsewhere/p1.png\tone\nother.png\ttwo\n");
  save_png(dir / "other.png", plain(12, 12, {9, 9, 9}));
  const Outcome shared = diptych_run(flags + "--val-data " + (dir / "v.tsv"));
  CHECK(shared.exit_code == 1);
  CHECK(contains(shared.err, "1 of 2 pictures of --val-data are in --train-data too"));
  CHECK_FALSE(std::filesystem::exists(dir / "run"));
  put_file(dir / "v.tsv", "filepath\ttitle\nother.png\ttwo\n");
  const Outcome own = diptych_run(flags + "--val-data " + (dir / "v.tsv"));
  CHECK_MESSAGE(own.exit_code == 0, own.err);
  CHECK(contains(own.err, "validation at step 2 | 1 pictures"));
  CHECK(diptych_run("info " + (dir / "run/best")).exit_code == 0);
}
