// tests/test_resume_cli.cpp — `diptych train`: runs that begin again, and runs that may not go on.
#include <doctest/doctest.h>

#include <filesystem>

#include "clip/version.h"
#include "tests/openings.h"
#include "tests/program.h"

using namespace diptych;
using namespace diptych::test;

namespace {

namespace fs = std::filesystem;

// small_run()'s table with another word in the captions.
void change_captions(const TempDir& dir, const std::string& file, const std::string& word) {
  std::string text = get_file(dir / "t.tsv");
  for (size_t at = 0; (at = text.find("thing", at)) != std::string::npos;)
    text.replace(at, 5, word);
  put_file(dir / file, text);
}

std::string checkpoint_of(const TempDir& dir, int64_t step) {
  return checkpoint_path(dir / "run", step);
}

std::string parameters_of(const TempDir& dir, int64_t step) {
  return get_file(checkpoint_of(dir, step) + '/' + kModelFile);
}

}  // namespace

TEST_CASE("resume: a run without any checkpoint begins again, by the same command or --resume") {
  REQUIRE_BINARY();
  const TempDir dir;
  REQUIRE(diptych_run(small_run(dir, 2)).exit_code == 0);
  const std::string whole = parameters_of(dir, 4), params = get_file(dir / "run/params.json");
  fs::remove_all(dir / "run");
  // As a process leaves its folder that is killed before there is one, before it has the lock,
  // before and after params.json is renamed, and while it saves for the first time.
  for (int moment = 0; moment < 5; ++moment) {
    for (const char* resume : {"", "--resume latest"}) {
      CAPTURE(moment);
      CAPTURE(resume);
      if (moment >= 1) fs::create_directories(dir / "run");
      if (moment >= 2) put_file(dir / "run/lock", "");
      if (moment >= 2) put_file(dir / "run/params.json.tmp-1-0", params.substr(0, 20));
      if (moment >= 3) put_file(dir / "run/params.json", params);
      if (moment >= 4) put_file(dir / "run/metrics.jsonl", "{\"step\":1,\"loss\":9}\n{\"st");
      if (moment >= 4) fs::create_directories(checkpoint_of(dir, 2) + ".tmp");
      const Outcome r = diptych_run(small_run(dir, 2) + resume);
      CAPTURE(r.err);
      REQUIRE(r.exit_code == 0);
      CHECK(parameters_of(dir, 4) == whole);
      CHECK(!contains(get_file(dir / "run/metrics.jsonl"), "\"loss\":9}"));
      CHECK(get_file(dir / "run/params.json") == params);
      CHECK(!fs::exists(dir / "run/params.json.tmp-1-0"));
      CHECK(contains(r.err, "an earlier attempt left no checkpoint") == (moment >= 3));
      CHECK(diptych_run(small_run(dir, 2)).exit_code == 1);  // now it holds one
      fs::remove_all(dir / "run");
    }
  }
}

TEST_CASE("resume: records of somebody else are no dead attempt, and stay") {
  REQUIRE_BINARY();
  const TempDir dir;
  const std::string flags = small_run(dir, 1);
  fs::create_directories(dir / "run");
  put_file(dir / "run/metrics.jsonl", "mine\n");
  for (const char* resume : {"", "--resume latest"}) {
    const Outcome r = diptych_run(flags + resume);
    CHECK(r.exit_code == 1);
    CHECK(contains(r.err, "metrics.jsonl' is there without a params.json"));
    CHECK(get_file(dir / "run/metrics.jsonl") == "mine\n");
  }
}

TEST_CASE("resume: a run knows its data, and refuses others by name") {
  REQUIRE_BINARY();
  const TempDir dir;
  const std::string flags = small_run(dir, 2), words = get_file(dir / "t.tsv");
  REQUIRE(diptych_run(flags).exit_code == 0);
  const std::string resume = flags + "--resume latest ";
  const auto refused = [&](const std::string& more, const std::string& why) {
    const Outcome r = diptych_run(resume + more);
    CAPTURE(r.err);
    CHECK(r.exit_code == 1);
    CHECK(contains(r.err, why));
  };
  change_captions(dir, "t.tsv", "brick");
  refused("", "captions changed");
  put_file(dir / "t.tsv", words + "p0.png\ta thing more\n");
  refused("", "pairs was 8, now it is 9");
  put_file(dir / "t.tsv", words);
  std::string other = words;
  other.replace(other.find("p3.png"), 6, "p4.png");
  put_file(dir / "t.tsv", other);
  refused("", "pictures changed");
  put_file(dir / "t.tsv", words);
  refused("--csv-img-key title --csv-caption-key filepath", "csv_img_key was");
  refused("--max-image-pixels 100", "max_image_pixels was");
  refused("--training-crop square", "training_crop was");
  refused("--epochs 3", "epochs was 2, now it is 3");
  put_file(dir / "other.txt", Tokenizer::train({"once upon a time a time"}, 520).merges_text());
  refused("--vocab " + (dir / "other.txt"), "vocabulary changed");
  put_file(dir / "same.txt", load_model(dir / "run").words().merges_text());
  CHECK(diptych_run(resume + "--vocab " + (dir / "same.txt")).exit_code == 0);
  CHECK(diptych_run(resume + "--workers 0 --keep 5 --max-bad-fraction 0.5").exit_code == 0);
}

TEST_CASE("resume: the folder of the run is as good as latest, and another version is told") {
  REQUIRE_BINARY();
  const TempDir dir;
  const std::string flags = small_run(dir, 2);
  REQUIRE(diptych_run(flags).exit_code == 0);
  const Outcome same = diptych_run(flags + "--resume " + (dir / "run"));
  CHECK(same.exit_code == 0);
  CHECK(contains(same.err, "step_00000004 at step 4"));
  CHECK(!contains(same.err, "warning: the run was begun"));
  std::string params = get_file(dir / "run/params.json");
  const std::string version = std::string("\"diptych\": \"") + kVersion;
  REQUIRE(contains(params, version));
  params.replace(params.find(version), version.size(), "\"diptych\": \"0.0.7");
  put_file(dir / "run/params.json", params);
  for (const char* more : {"", "--precision amp_bf16"}) {  // of which the second writes it anew
    const Outcome r = diptych_run(flags + "--resume latest " + more);
    CHECK(r.exit_code == 0);
    CHECK(contains(r.err, "begun by diptych 0.0.7"));
  }
}

TEST_CASE("resume: a table that moved with its pictures is the same data") {
  REQUIRE_BINARY();
  const TempDir dir;
  const std::string flags = small_run(dir, 2);
  REQUIRE(diptych_run(flags).exit_code == 0);
  fs::create_directories(dir / "moved");
  for (const auto& entry : fs::directory_iterator(dir.path()))
    if (entry.is_regular_file()) fs::rename(entry, dir / "moved" / entry.path().filename());
  const std::string resume = " --resume latest --train-data " + (dir / "moved/t.tsv");
  CHECK(diptych_run(flags + resume).exit_code == 0);
}

TEST_CASE("resume: the vocabulary is the checkpoint's, which is verified on every road") {
  REQUIRE_BINARY();
  const TempDir dir;
  const std::string flags = small_run(dir, 2);
  REQUIRE(diptych_run(flags).exit_code == 0);
  const std::string whole = parameters_of(dir, 4), path = checkpoint_of(dir, 4);
  CHECK(diptych_run(flags + "--resume " + checkpoint_of(dir, 2)).exit_code == 0);
  CHECK(parameters_of(dir, 4) == whole);
  put_file(dir / "words", "a thing\n");
  const std::string embed =
      "embed --texts " + (dir / "words") + " --truncate --out " + (dir / "e.npy") + " --model ";
  CHECK(diptych_run(embed + path).exit_code == 0);
  std::string bytes = whole;
  bytes[bytes.size() - 2] ^= 1;
  put_file(path + "/model.safetensors", bytes);
  for (const std::string& road :
       {embed + path, embed + path + "/model.safetensors", flags + "--resume " + path}) {
    const Outcome r = diptych_run(road);
    CHECK(r.exit_code == 1);
    CHECK(contains(r.err, "step_00000004/model.safetensors' is damaged"));
  }
  CHECK(diptych_run(embed + (dir / "run")).exit_code == 0);  // the one before
  fs::remove(path + "/manifest.json");
  CHECK(contains(diptych_run(flags + "--resume " + path).err, "has no manifest.json"));
  fs::remove_all(checkpoint_of(dir, 2));
  const Outcome r = diptych_run(flags + "--resume latest");
  CHECK(r.exit_code == 1);  // what may be rescued is not begun anew
  CHECK(contains(r.err, "holds no intact checkpoint"));
}

TEST_CASE("resume: a checkpoint's folder holds what its name and its manifest say, and no more") {
  REQUIRE_BINARY();
  const TempDir dir;
  const std::string flags = small_run(dir, 1);
  REQUIRE(diptych_run(flags).exit_code == 0);
  const std::string path = checkpoint_of(dir, 2), later = checkpoint_of(dir, 20);
  fs::copy_file(path + "/model.safetensors", path + "/best.safetensors");
  const Outcome info = diptych_run("info " + path + "/best.safetensors");
  CHECK(info.exit_code == 1);
  CHECK(contains(info.err, "best.safetensors' lies in a checkpoint whose manifest.json does not"));
  fs::copy(path, later, fs::copy_options::recursive);
  CHECK(contains(diptych_run(flags + "--resume latest").err, "step_00000020' holds step 2"));
}

TEST_CASE("resume: records that somebody damaged are told") {
  REQUIRE_BINARY();
  const TempDir dir;
  const std::string flags = small_run(dir, 2), metrics = dir / "run/metrics.jsonl";
  REQUIRE(diptych_run(flags).exit_code == 0);
  const std::string again = flags + "--resume " + checkpoint_of(dir, 2);
  std::string text = get_file(metrics);
  put_file(metrics, text.replace(0, 3, "..."));
  CHECK(contains(diptych_run(again).err, "1 lines of '" + metrics + "' were no records"));
  fs::remove(metrics);
  CHECK(contains(diptych_run(again).err, "metrics.jsonl' is gone"));
}

TEST_CASE("resume: a checkpoint of another run is refused") {
  REQUIRE_BINARY();
  const TempDir dir;
  const std::string flags = small_run(dir, 2);
  REQUIRE(diptych_run(flags).exit_code == 0);
  REQUIRE(diptych_run(flags + "--name other --lr 1e-4").exit_code == 0);
  const Outcome r = diptych_run(flags + "--resume " + checkpoint_path(dir / "other", 2));
  CHECK(r.exit_code == 1);
  CHECK(contains(r.err, "which goes on in its own folder"));
}

TEST_CASE("resume: params.json is read once for the flags and once for the run") {
  REQUIRE_BINARY();
  const TempDir dir;
  REQUIRE(diptych_run(small_run(dir, 2)).exit_code == 0);
  std::filesystem::remove_all(dir / "run/checkpoints/step_00000004");
  CHECK(count_openings(dir / "run/params.json", [&] {
          const Outcome resumed = diptych_run("train --resume " + (dir / "run"));
          CHECK_MESSAGE(resumed.exit_code == 0, resumed.err);
        }) == 2);
}
