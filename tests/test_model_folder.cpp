// tests/test_model_folder.cpp — which file of a folder is the model, in everybody's layout.
#include <doctest/doctest.h>

#include <filesystem>

#include "clip/weights/model_file.h"
#include "clip/weights/model_folder.h"
#include "clip/weights/run_folder.h"
#include "tensor/io/safetensors.h"
#include "tests/config_files.h"

using namespace diptych;
using namespace diptych::test;

namespace {

/// Empty files of these names; folders are made.
void put_all(const TempDir& dir, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    std::filesystem::create_directories(std::filesystem::path(dir / name).parent_path());
    put_file(dir / name, "");
  }
}

std::string taken(const std::vector<std::string>& names) {
  const TempDir dir;
  put_all(dir, names);
  return std::filesystem::relative(find_model_in(dir.path()).path, dir.path());
}

std::string refusal(const std::vector<std::string>& names) {
  const TempDir dir;
  put_all(dir, names);
  return error_of([&] { find_model_in(dir.path()); });
}

}  // namespace

TEST_CASE("model folder: of several known names the first of the order, and the others are named") {
  std::vector<std::string> names = {
      "pytorch_model.bin.index.json", "pytorch_model.bin", "open_clip_pytorch_model.bin",
      "model.safetensors.index.json", "model.safetensors", "open_clip_model.safetensors"};
  for (; !names.empty(); names.pop_back()) CHECK(taken(names) == names.back());
  const TempDir dir;
  put_all(dir, {"model.safetensors", "pytorch_model.bin", "config.json"});
  CHECK(find_model_in(dir.path()).note ==
        "weights: from model.safetensors, not from 'pytorch_model.bin'\n");
  CHECK(taken({"weights.safetensors", "pytorch_model.bin"}) == "pytorch_model.bin");
}

TEST_CASE("model folder: the newest epoch of open_clip's training, by number") {
  CHECK(taken({"checkpoints/epoch_9.pt", "checkpoints/epoch_10.pt", "checkpoints/epoch_1.pt",
               "params.txt", "out.log"}) == "checkpoints/epoch_10.pt");
  CHECK(taken({"epoch_2.pt", "epoch_latest.pt", "epoch_x.pt", "epoch_-3.pt"}) == "epoch_2.pt");
  CHECK(taken({"checkpoints/epoch_latest.pt"}) == "checkpoints/epoch_latest.pt");
  const TempDir dir;
  put_all(dir, {"epoch_2.pt", "epoch_latest.pt"});
  CHECK(find_model_in(dir.path()).note == "weights: from epoch_2.pt, not from 'epoch_latest.pt'\n");
}

TEST_CASE("model folder: one file of another name, beside what trainers write; of two neither") {
  for (const std::string name : {"w.safetensors", "w.bin", "w.pt", "w.pth"})
    CHECK(taken({name, "optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin",
                 ".w.safetensors", "config.json", "readme.md"}) == name);
  CHECK(contains(refusal({"b.pt", "a.safetensors"}),
                 "holds several files of weights, 'a.safetensors', 'b.pt'; name one"));
}

TEST_CASE("model folder: Hugging Face's cache, by refs/main or the only snapshot") {
  CHECK(taken({"blobs/0", "snapshots/r1/model.safetensors"}) == "snapshots/r1/model.safetensors");
  CHECK(contains(refusal({"snapshots/r1/model.safetensors", "snapshots/r2/model.safetensors"}),
                 "several snapshots, 'r1', 'r2'"));
  const TempDir dir;
  put_all(dir, {"snapshots/r1/model.safetensors", "snapshots/r2/model.safetensors", "refs/main"});
  put_file(dir / "refs/main", "r2");
  CHECK(find_model_in(dir.path()).path == dir / "snapshots/r2/model.safetensors");
  for (const std::string revision : {"r3", "../r2", "", "/"}) {
    put_file(dir / "refs/main", revision);
    CHECK(contains(error_of([&] { find_model_in(dir.path()); }), "names the snapshot"));
  }
  put_file(dir / "refs/main", std::string(300, 'r'));
  CHECK(contains(error_of([&] { find_model_in(dir.path()); }), "larger than"));
}

TEST_CASE("model folder: without a model it says what was looked for and what is there") {
  const std::string error = refusal({"readme.md", "a/b"});
  for (const char* part : {"holds no model", "model.safetensors.index.json", "no intact checkpoint",
                           "epoch_N.pt", "there stand 'a', 'readme.md'"})
    CHECK_MESSAGE(contains(error, part), error);
  CHECK(contains(refusal({}), "there is nothing in it"));
  std::vector<std::string> many;
  for (int i = 0; i < 1000; ++i) many.push_back("file" + std::to_string(i));
  CHECK(contains(refusal(many), "(1000 in all)"));
  CHECK(refusal(many).size() < 800);
}

TEST_CASE("model folder: a checkpoint of ours without its model is not opened by another file") {
  CHECK(contains(refusal({"step_00000001/training.safetensors", "x"}), "holds no model"));
  const TempDir dir;
  put_all(dir, {"step_00000001/training.safetensors", "step_00000001/other.safetensors"});
  CHECK(contains(error_of([&] { find_model_in(dir / "step_00000001"); }), "checkpoint"));
  put_all(dir, {"run/checkpoints/step_00000001/model.safetensors", "run/other.safetensors"});
  CHECK(contains(error_of([&] { find_model_in(dir / "run"); }), "holds no model"));
}

TEST_CASE("model folder: open_clip_config.json counts whatever the weights are called") {
  const TempDir dir;
  write_model_folder(dir, "open_clip",
                     config_variant("open_clip", "plain"));  // weights.safetensors
  CHECK(contains(load_model(dir / "open_clip").notes, "open_clip_config.json"));
}

TEST_CASE("model folder: a 'config' of another program in the header is not ours, and said so") {
  const TempDir dir;
  const LoadOptions options{.activation = nn::Activation::gelu, .vision_heads = 2, .text_heads = 2};
  for (const std::string config : {R"({"lr": 1e-4})", "yaml: true", "[1]", "", "7"}) {
    save_safetensors(dir / "m.safetensors", bare_weights(), {{"config", config}});
    CHECK(
        contains(load_model(dir / "m.safetensors", options).notes, "another program's: not read"));
  }
  save_safetensors(dir / "m.safetensors", bare_weights(),
                   {{"format", "diptych"}, {"config", "{}"}});
  CHECK(contains(error_of([&] { load_model(dir / "m.safetensors", options); }), "config"));
}
