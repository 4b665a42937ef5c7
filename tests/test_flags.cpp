// tests/test_flags.cpp — numbers on the command line, and more threads than there are.
#include <doctest/doctest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/program.h"

using namespace diptych;
using namespace diptych::test;

namespace fs = std::filesystem;

TEST_CASE("flags: what is no finite number of its type is wrong usage") {
  REQUIRE_BINARY();
  const TempDir dir;
  for (const char* flag : {"--lr nan",
                           "--lr inf",
                           "--lr -inf",
                           "--lr NAN",
                           "--lr 1e400",
                           "--lr ''",
                           "--wd nan",
                           "--beta1 nan",
                           "--beta1 1",
                           "--beta2 1",
                           "--beta2 0.99999999",
                           "--eps 0",
                           "--eps nan",
                           "--eps 1e-40",
                           "--grad-clip-norm nan",
                           "--max-bad-fraction nan",
                           "--seed -1",
                           "--seed 1e30",
                           "--seed 1.5e0",
                           "--seed 1e-3",
                           "--seed -1e3",
                           "--seed 1e17",
                           "--seed 1e3e3",
                           "--seed 18446744073709551616",
                           "--seed 0x10000000000000000",
                           "--seed nan",
                           "--seed 1.5",
                           "--epochs 9223372036854775808",
                           "--epochs 99999999999999999999",
                           "--keep 2147483648",
                           "--keep 0",
                           "--workers -1",
                           "--threads 99999999999999999999",
                           "--threads 0"}) {
    CAPTURE(flag);
    const Outcome r = diptych_run(small_run(dir, 1) + flag);
    CHECK(r.exit_code == 2);
    CHECK(contains(r.err, std::string(flag).substr(0, std::string(flag).find(' '))));
  }
  CHECK(!fs::exists(dir / "run"));
}

TEST_CASE("flags: whole numbers are decimal, up to the last that the type can hold") {
  REQUIRE_BINARY();
  const TempDir dir;
  for (const auto& [given, meant] :
       std::vector<std::pair<std::string, uint64_t>>{{"18446744073709551615", UINT64_MAX},
                                                     {"010", 10},
                                                     {"0x10", 16},
                                                     {"+7", 7},
                                                     {"1e3", 1000},
                                                     {"1.5E3", 1500}}) {
    REQUIRE(diptych_run(small_run(dir, 1) + "--seed " + given).exit_code == 0);
    CHECK(nlohmann::json::parse(get_file(dir / "run/params.json"))["seed"] == meant);
    fs::remove_all(dir / "run");
  }
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_CASE("train: a limit for threads is told as one") {
  REQUIRE_BINARY();
  const TempDir dir;
  const std::string limit = "ulimit -v 1500000; $DIPTYCH " + small_run(dir, 1);
  const Outcome r = shell_run(limit + "--workers 256");
  CHECK(r.exit_code == 1);
  CHECK(contains(r.err, "threads: the system gives no more"));
  CHECK(contains(r.err, "--workers"));
}
#endif
