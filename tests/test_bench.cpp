// tests/test_bench.cpp — what `diptych bench` measures, and what it refuses to.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "clip/weights/model_spec.h"
#include "tests/program.h"

using namespace diptych;
using namespace diptych::test;

TEST_CASE("bench: it measures an own architecture, and refuses what it would not measure") {
  REQUIRE_BINARY();
  const TempDir dir;
  put_file(dir / "m.json", to_json(preset("tiny")));
  const std::string own = " --model " + (dir / "m.json") + " --batch-size 2 --steps 1 ";
  for (const std::string what : {"train", "infer"}) {
    const Outcome bench = diptych_run("bench " + what + own + "--json --set vision.layers=2");
    REQUIRE_MESSAGE(bench.exit_code == 0, bench.err);
    const auto result = nlohmann::json::parse(bench.out);
    const Clip model(model_from("tiny", {"vision.layers=2"}));
    CHECK(result["parameters"] == model.parameter_count());
    CHECK(result["set"] == nlohmann::json{"vision.layers=2"});
  }
  const Outcome wrong = diptych_run("bench infer" + own + "--set vision.layer=2");
  CHECK(wrong.exit_code == 1);
  CHECK(contains(wrong.err, "did you mean vision.layers?"));
  for (const char* idle : {"gemm --model tiny", "conv --set vision.layers=2", "peak --batch-size 3",
                           "ops --text-length 3", "train --part image", "infer --lock-text",
                           "gemm --precision amp_bf16", "infer --checkpointing"}) {
    CAPTURE(idle);
    const Outcome refused = diptych_run(std::string("bench --steps 1 ") + idle);
    CHECK(refused.exit_code == 2);
    CHECK(contains(refused.err, "says nothing here"));
  }
}
