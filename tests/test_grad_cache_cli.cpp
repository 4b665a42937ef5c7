// tests/test_grad_cache_cli.cpp — --accum-freq and --grad-checkpointing as a user meets them.
#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "tensor/io/npy.h"
#include "tensor/io/safetensors.h"
#include "tests/program.h"

using namespace diptych;
using namespace diptych::test;

namespace {

// Five pictures and captions for saved_model(), and what `step` makes of them.
struct Stepped {
  Stepped() : model(saved_model(dir)) {
    save_npy(dir / "x.npy", randn({5, 3, 8, 8}, {1, 2}));
    save_npy(
        dir / "t.npy",
        from_vector<int64_t>({1, 2, 9, 0, 1, 3, 4, 9, 1, 9, 0, 0, 1, 5, 6, 9, 1, 2, 9, 0}, {5, 4}));
  }
  Outcome run(const std::string& flags, const std::string& dump) const {
    return diptych_run("step --model " + model + " --pixels " + (dir / "x.npy") + " --tokens " +
                       (dir / "t.npy") + " --dump " + (dir / dump) + " " + flags);
  }
  std::vector<NamedTensor> dumped(const std::string& flags) const {
    const Outcome r = run(flags, "dump");
    CAPTURE(r.err);
    REQUIRE(r.exit_code == 0);
    return load_safetensors(dir / "dump").tensors;
  }
  TempDir dir;
  std::string model;
};

nlohmann::json params_of(const TempDir& dir) {
  return nlohmann::json::parse(get_file(dir / "run/params.json"));
}

std::string parameters_of(const TempDir& dir, int64_t step) {
  return get_file(checkpoint_path(dir / "run", step) + '/' + kModelFile);
}

}  // namespace

TEST_CASE("grad cache: step dumps the same in parts, and recomputed the same bits") {
  REQUIRE_BINARY();
  const Stepped step;
  const auto whole = step.dumped(""), parts = step.dumped("--accum-freq 3"),
             recomputed = step.dumped("--grad-checkpointing");
  REQUIRE(parts.size() == whole.size());
  for (size_t i = 0; i < whole.size(); ++i) {
    CAPTURE(whole[i].name);
    REQUIRE(parts[i].name == whole[i].name);
    CHECK(same_bits(recomputed[i].tensor, whole[i].tensor));
    const auto a = whole[i].tensor.to_vector<double>(), b = parts[i].tensor.to_vector<double>();
    double most = 0, apart = 0;
    for (size_t k = 0; k < a.size(); ++k) {
      most = std::max(most, std::fabs(a[k]));
      apart = std::max(apart, std::fabs(a[k] - b[k]));
    }
    CHECK(apart <= 1e-5 * most);
  }
}

TEST_CASE("grad cache: more parts than pairs are wrong usage, with both numbers") {
  REQUIRE_BINARY();
  const Stepped step;
  const TempDir dir;
  for (const Outcome& r :
       {step.run("--accum-freq 6", "none"), diptych_run(small_run(dir, 1) + "--accum-freq 5"),
        diptych_run("bench train --model tiny --batch-size 2 --accum-freq 3")}) {
    CHECK(r.exit_code == 2);
    CHECK(contains(r.err, " is more parts than a batch of "));
  }
  CHECK(contains(step.run("--accum-freq 6", "none").err,
                 "--accum-freq 6 is more parts than a "
                 "batch of 5 pairs"));
  CHECK_FALSE(is_there(step.dir / "none"));
  CHECK_FALSE(is_there(dir / "run"));
  CHECK(diptych_run(small_run(dir, 1) + "--accum-freq 0").exit_code == 2);
}

TEST_CASE("grad cache: a run in parts says so, tells what it takes, and goes on in parts") {
  REQUIRE_BINARY();
  const TempDir dir, whole;
  REQUIRE(diptych_run(small_run(whole, 2) + "--accum-freq 3").exit_code == 0);
  const Outcome first = diptych_run(small_run(dir, 2) + "--accum-freq 3 --grad-checkpointing");
  CAPTURE(first.err);
  REQUIRE(first.exit_code == 0);
  CHECK(contains(first.err, "each batch of 4 in 2 parts of 2"));
  CHECK(contains(first.err, "memory: about "));
  CHECK(contains(first.err, " MiB of tensors at most, "));
  CHECK(params_of(dir)["accum_freq"] == 3);
  CHECK(params_of(dir)["may_change"]["grad_checkpointing"] == true);
  CHECK(parameters_of(dir, 4) == parameters_of(whole, 4));
  std::filesystem::remove_all(checkpoint_path(dir / "run", 4));
  const std::string resume = "train --resume " + (dir / "run");
  const Outcome other = diptych_run(resume + " --accum-freq 1");
  CHECK(other.exit_code == 1);
  CHECK(contains(other.err, "resume: accum_freq was 3, now it is 1"));
  REQUIRE(diptych_run(resume + " --grad-checkpointing=false").exit_code == 0);
  CHECK(parameters_of(dir, 4) == parameters_of(whole, 4));
}
