// tests/test_precision_cli.cpp — mixed precision as a user meets it: flags, files and sentences.
#include <doctest/doctest.h>

#include <filesystem>

#include "clip/eval/zero_shot.h"
#include "tests/precisions.h"
#include "tests/program.h"

using namespace diptych;
using namespace diptych::test;

namespace {

namespace fs = std::filesystem;

std::string checkpoint_bytes(const TempDir& dir, int64_t step) {
  const std::string path = checkpoint_path(dir / "run", step);
  return get_file(path + '/' + kModelFile) + get_file(path + '/' + kTrainingFile);
}

bool tells(const TempDir& dir, const std::string& key, const std::string& value) {
  return contains(get_file(dir / "run/params.json"), '"' + key + "\": \"" + value + '"');
}

// As a run that died after that step.
void forget_after(const TempDir& dir, int64_t step) {
  for (int64_t later = step + 1; later <= 16; ++later)
    fs::remove_all(checkpoint_path(dir / "run", later));
}

// saved_model() with one weight too large for f16.
std::string too_large(const TempDir& dir) {
  const std::string path = saved_model(dir);
  const SafeTensors file = load_safetensors(path);
  Tensor(*file.find("visual.proj")).view({-1}).slice(0, 0, 1).fill_(1e5);
  save_safetensors(path, file.tensors, file.metadata);
  return path;
}

}  // namespace

TEST_CASE("precision: the program resumes a run with the same bits, in the run's own precision") {
  REQUIRE_BINARY();
  const TempDir dir;
  const std::string flags = small_run(dir, 3),
                    types = "--precision amp_fp16 --adam-stats f16 --text-weights bf16 ";
  REQUIRE(diptych_run(flags + types).exit_code == 0);
  const std::string whole = checkpoint_bytes(dir, 6);
  for (const int64_t step : {6, 4}) fs::remove_all(checkpoint_path(dir / "run", step));
  fs::remove_all(dir / "run");
  REQUIRE(diptych_run(flags + types + "--keep 3").exit_code == 0);
  for (const int64_t step : {6, 4}) fs::remove_all(checkpoint_path(dir / "run", step));
  const Outcome r = diptych_run(flags + "--resume latest");
  CAPTURE(r.err);
  CHECK(r.exit_code == 0);
  CHECK(contains(r.err, "step_00000002 at step 2"));
  CHECK(!contains(r.err, "becomes"));
  CHECK(contains(r.err, " | loss scale "));
  CHECK(checkpoint_bytes(dir, 6) == whole);
  CHECK(tells(dir, "precision", "amp_fp16"));
}

TEST_CASE("precision: resuming in another one is said, and params.json tells the new one") {
  REQUIRE_BINARY();
  struct Change {
    const char *flags, *sentence, *key, *value;
  };
  const Change changes[] = {
      {"--precision amp_bf16",
       "resume: precision fp32 becomes amp_bf16: parameters f32 become f32, products read bf16",
       "precision", "amp_bf16"},
      {"--precision amp_fp16", "; the loss scale begins at 65536", "precision", "amp_fp16"},
      {"--precision pure_bf16", "parameters f32 become bf16, products read bf16; ", "precision",
       "pure_bf16"},
      {"--precision fp32 --adam-stats f16", "resume: precision pure_bf16 becomes fp32",
       "adam_stats", "f16"},
      {"--adam-stats f32", "resume: moments f16 are converted to f32\n", "adam_stats", "f32"},
      {"--text-weights f16", "resume: text weights f32 are converted to f16, to nearest\n",
       "text_weights", "f16"},
      {"--rounding nearest",
       "resume: updates of 16-bit parameters are rounded to nearest from now on\n", "rounding",
       "nearest"},
  };
  const TempDir dir;
  const std::string flags = small_run(dir, 8) + "--keep 8 ";
  REQUIRE(diptych_run(flags).exit_code == 0);
  int64_t step = 2;
  for (const Change& c : changes) {
    CAPTURE(c.flags);
    forget_after(dir, step);
    const Outcome r = diptych_run(flags + "--resume latest " + c.flags);
    CAPTURE(r.err);
    CHECK(r.exit_code == 0);
    CHECK(contains(r.err, c.sentence));
    CHECK(tells(dir, c.key, c.value));
    forget_after(dir, step += 2);
    CHECK(!contains(diptych_run(flags + "--resume latest").err, "resume: "));
    CHECK(tells(dir, c.key, c.value));
  }
}

TEST_CASE("precision: what is converted is told by the checkpoint") {
  REQUIRE_BINARY();
  const TempDir dir;
  const std::string flags = small_run(dir, 1), resume = flags + "--resume latest ",
                    other = "--precision amp_bf16 --adam-stats f16 --text-weights f16 ";
  const std::string sentence =
      "resume: precision fp32 becomes amp_bf16: parameters f32 become f32, products read bf16; "
      "text weights f32 are converted to f16, to nearest; moments f32 are converted to f16; "
      "updates of 16-bit parameters are rounded to nearest from now on\n";
  REQUIRE(diptych_run(flags).exit_code == 0);
  // Nothing is left to do, so nothing is saved: as if they died before.
  CHECK(contains(diptych_run(resume + other + "--rounding nearest").err, sentence));
  CHECK(tells(dir, "precision", "amp_bf16"));
  CHECK(contains(diptych_run(resume).err, sentence));
  const Outcome back = diptych_run(resume + "--precision fp32 --adam-stats f32 --text-weights f32");
  CAPTURE(back.err);
  CHECK(!contains(back.err, "resume: "));
  CHECK(tells(dir, "precision", "fp32"));
}

TEST_CASE("precision: flags that say nothing together, or nothing known, are refused") {
  REQUIRE_BINARY();
  const TempDir dir;
  const std::string flags = small_run(dir, 1);
  const std::pair<const char*, const char*> wrong[] = {
      {"--precision amp_bf61", "did you mean amp_bf16?"},
      {"--precision fp64", "known: fp32, amp_bf16, amp_fp16, pure_bf16"},
      {"--precision AMP_BF16", "--precision: there is no 'AMP_BF16'"},
      {"--adam-stats bf16", "--adam-stats"},
      {"--text-weights f8", "--text-weights"},
      {"--rounding nearest", "--rounding is of parameters of 16 bits"},
      {"--precision pure_bf16 --text-weights f16", "contradicts"},
  };
  for (const auto& [more, words] : wrong) {
    const Outcome r = diptych_run(flags + more);
    CAPTURE(r.err);
    CHECK(r.exit_code == 2);
    CHECK(contains(r.err, words));
    CHECK(!fs::exists(dir / "run"));
  }
}

TEST_CASE("precision: bench refuses what it would not measure") {
  REQUIRE_BINARY();
  for (const char* flags :
       {"gemm --precision amp_bf16", "ops --text-weights f16", "conv --checkpointing",
        "infer --adam-stats f16", "infer --checkpointing", "infer --accum-freq 2",
        "ops --accum-freq 2", "train --batch-size 2 --accum-freq 3", "train --explain-precision"}) {
    CAPTURE(flags);
    CHECK(diptych_run(std::string("bench ") + flags).exit_code == 2);
  }
}

TEST_CASE("precision: --explain-precision prints the table of explain() and does nothing else") {
  REQUIRE_BINARY();
  for (const PrecisionConfig& c : all_precisions()) {
    const Outcome r = diptych_run(std::string("train --explain-precision --precision ") +
                                  name(c.precision) + " --adam-stats " + name(c.adam_stats) +
                                  " --text-weights " + name(c.text_weights));
    CHECK(r.exit_code == 0);
    CHECK(r.out == explain(c));
  }
}

TEST_CASE("precision: models are used in each, nearly with one result") {
  REQUIRE_BINARY();
  const TempDir dir;
  const std::string model = saved_model(dir);
  save_png(dir / "p.png", plain(12, 12, {200, 30, 30}));
  const std::string classify =
      "classify --json --labels red,green --model " + model + ' ' + (dir / "p.png");
  std::string exact;
  for (const std::string& precision : precision_names()) {
    CAPTURE(precision);
    const std::string flag = " --precision " + precision;
    const Outcome r = diptych_run(classify + flag);
    CAPTURE(r.err);
    CHECK(r.exit_code == 0);
    if (precision == "fp32") exact = r.out;
    CHECK((r.out == exact) == (precision == "fp32"));
    const Outcome e = diptych_run("embed --model " + model + " --images " + (dir / "p.png") +
                                  " --out " + (dir / "e.npy") + flag);
    CAPTURE(e.err);
    CHECK(e.exit_code == 0);
  }
  CHECK(diptych_run(classify + " --precision half").exit_code == 2);
}

TEST_CASE("precision: a head that is kept is that of one precision") {
  const TempDir dir;
  const LoadedModel loaded = load_model(saved_model(dir));
  size_t kept = 0;
  for (const std::string& precision : precision_names()) {
    CAPTURE(precision);
    loaded.model->use({precision_from(precision)});
    const auto head = [&](const std::string& folder) {
      return cached_zero_shot_head(*loaded.model, loaded.words(), kWords, {"a {} one"}, folder);
    };
    const Tensor own = head("");
    for (int again = 0; again < 2; ++again) CHECK(same_bits(head(dir / "heads"), own));
    const fs::directory_iterator files(dir / "heads");
    CHECK(static_cast<size_t>(std::distance(begin(files), end(files))) == ++kept);
  }
}

TEST_CASE("precision: weights beyond f16 are refused by every command that opens a model") {
  REQUIRE_BINARY();
  const TempDir dir;
  const std::string model = too_large(dir);
  save_png(dir / "p.png", plain(12, 12, {200, 30, 30}));
  put_file(dir / "words", "red\n");
  const std::string commands[] = {
      "classify --labels red,green " + (dir / "p.png"),
      "embed --texts " + (dir / "words") + " --out " + (dir / "e.npy"),
      "eval --data fashion",
  };
  for (const std::string& command : commands) {
    const Outcome r = diptych_run(command + " --precision amp_fp16 --model " + model);
    CAPTURE(r.err);
    CHECK(r.exit_code == 1);
    CHECK(contains(r.err, "visual.proj holds 100000, f16 ends at 65504"));
  }
  CHECK(diptych_run(commands[1] + " --precision amp_bf16 --model " + model).exit_code == 0);
}
