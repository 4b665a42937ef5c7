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

TEST_CASE("own work: a flag that says nothing beside the others is refused, and says why") {
  REQUIRE_BINARY();
  const TempDir dir;
  const std::string flags = small_run(dir, 1);
  for (const char* idle :
       {"--lock-image --image-lr 1e-4", "--lock-text --text-lr 1e-4", "--val-frequency 3",
        "--lock-image --lock-text --layer-decay 0.5", "--lock-image --patch-dropout 0.5",
        "--lock-image --lock-image-unlocked-groups 1 --patch-dropout 0.5",
        "--lock-image --lock-image-unlocked-groups 1 --lock-text --dropout 0.5", "--momentum 0.5",
        "--opt sgd --beta1 0.5", "--opt sgd --eps 1e-3", "--opt lion --eps 1e-3",
        "--lr-cooldown-end 1e-5", "--epochs-cooldown 1", "--lock-image-unlocked-groups 1",
        "--lr-scheduler const-cooldown", "--image-size 56", "--opt lion --adam-stats f16",
        "--lr-scheduler const-cooldown --epochs-cooldown 1 --lr-cooldown-end 9"}) {
    CAPTURE(std::string(idle));
    CHECK(diptych_run(flags + idle).exit_code == 2);
  }
  for (const char* wrong :
       {"--lock-image --lock-image-unlocked-groups 99", "--set text.context_length=1",
        "--set layer_norm_eps=1e99", "--set text.vocab=9", "--set text.type=cbow text.layers=3"}) {
    CAPTURE(std::string(wrong));
    CHECK(diptych_run(flags + wrong).exit_code == 1);
  }
  CHECK_FALSE(std::filesystem::exists(dir / "run"));
}

TEST_CASE("own work: flags about the weights of a run that goes on must be those it has") {
  REQUIRE_BINARY();
  const TempDir dir;
  const std::string flags = small_run(dir, 2);
  REQUIRE(diptych_run(flags).exit_code == 0);
  const std::string resume = "train --resume " + (dir / "run") + ' ';
  for (const char* other : {"--pretrained nonsense.pt", "--model small", "--set vision.layers=2"}) {
    CAPTURE(std::string(other));
    const Outcome r = diptych_run(resume + other);
    CHECK(r.exit_code == 1);
    CHECK(contains(r.err, "is not what the run was begun with"));
  }
  CHECK(diptych_run(resume + "--model tiny").exit_code == 0);
  CHECK(contains(diptych_run("train --resume nonsense").err, "there is no run and no checkpoint"));
  CHECK(contains(diptych_run("train --resume latest").err, "--resume latest is of --name"));
  // The paths it keeps lead there from any folder.
  std::filesystem::remove_all(dir / "run/checkpoints/step_00000004");
  const Outcome elsewhere = shell_run("D=$(readlink -f $DIPTYCH); cd / && $D " + resume);
  CHECK_MESSAGE(elsewhere.exit_code == 0, elsewhere.err);
}

TEST_CASE("own work: validation data are looked at before the first step, copies are found") {
  REQUIRE_BINARY();
  const TempDir dir;
  const std::string flags = small_run(dir, 1), val = dir / "v.tsv";
  std::filesystem::copy_file(dir / "p1.png", dir / "copy.png");
  put_file(val, "filepath\ttitle\ncopy.png\tone\n");
  CHECK(contains(diptych_run(flags + "--val-data " + val).err, "are in --train-data too"));
  put_file(val, "filepath\ttitle\nnowhere.png\tone\n");
  CHECK(contains(diptych_run(flags + "--val-data " + val).err, "1 of 1 of '"));
  CHECK_FALSE(std::filesystem::exists(dir / "run"));
}

TEST_CASE("own work: on other validation data the best so far is forgotten, and that is said") {
  REQUIRE_BINARY();
  const TempDir dir;
  for (const char* name : {"a", "b"}) {
    save_png(dir / (std::string(name) + ".png"),
             plain(12, 12, {9, static_cast<uint8_t>(*name), 9}));
    put_file(dir / (std::string(name) + ".tsv"),
             "filepath\ttitle\n" + std::string(name) + ".png\tone\n");
  }
  REQUIRE(diptych_run(small_run(dir, 2) + "--val-data " + (dir / "a.tsv")).exit_code == 0);
  std::filesystem::remove_all(dir / "run/checkpoints/step_00000004");
  const std::string resume = "train --resume " + (dir / "run") + " --val-data " + (dir / "b.tsv");
  CHECK(contains(diptych_run(resume).err, "what was best so far is forgotten"));
  CHECK(best_checkpoint(dir / "run") == checkpoint_path(dir / "run", 4));
  CHECK_FALSE(contains(diptych_run(resume).err, "forgotten"));
}

TEST_CASE("own work: a run's folder opens as the average that was validated") {
  REQUIRE_BINARY();
  const TempDir dir;
  REQUIRE(diptych_run(small_run(dir, 1) + "--ema-decay 0.9").exit_code == 0);
  for (const std::string& path : {dir / "run", newest_checkpoint(dir / "run")}) {
    const LoadedModel loaded = load_model(path);
    CHECK(loaded.path == newest_checkpoint(dir / "run") + "/ema.safetensors");
    CHECK(contains(loaded.notes, "the average of the parameters"));
  }
}

TEST_CASE("own work: eval on pairs obeys or refuses every flag, and cuts nothing unasked") {
  REQUIRE_BINARY();
  const TempDir dir;
  const std::string model = saved_model(dir), data = dir / "d.csv";
  save_png(dir / "p.png", plain(12, 12, {9, 9, 9}));
  put_file(data, "filepath,title\np.png,one\np.png,two\n");
  const std::string eval = "eval --model " + model + " --data " + data + " --csv-separator , ";
  const Outcome r = diptych_run(eval + "--json");
  CHECK_MESSAGE(r.exit_code == 0, r.err);
  CHECK(nlohmann::json::parse(r.out)["metrics"]["image_to_text_R@1"] == 0.5);
  for (const char* idle : {"--templates openai", "--report x", "--labels-file x", "--split test"})
    CHECK(diptych_run(eval + idle).exit_code == 2);
  put_file(data, "filepath,title\np.png,one two three four five six seven eight nine ten\n");
  CHECK(contains(diptych_run(eval).err, "1 of 1 captions are longer"));
  CHECK(diptych_run(eval + "--truncate").exit_code == 0);
}
