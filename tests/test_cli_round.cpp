// tests/test_cli_round.cpp — `diptych round`: NumPy's numbers, the account, and what is refused.
#include <cmath>
#include <limits>

#include "tensor/io/npy.h"
#include "tests/program.h"

using namespace diptych;
using namespace diptych::test;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Ties, values beside them, subnormals, and what overflows; and what NumPy 2.4's float16 and
/// ml_dtypes 0.6's bfloat16 make of them.
struct Golden {
  float x, bf16, f16;
};
const Golden kGolden[] = {
    {0.1f, 0x1.9ap-4f, 0x1.998p-4f},
    {-0.1f, -0x1.9ap-4f, -0x1.998p-4f},
    {1 / 3.0f, 0x1.56p-2f, 0x1.554p-2f},
    {0x1.01p0f, 1, 0x1.01p0f},
    {0x1.03p0f, 0x1.04p0f, 0x1.03p0f},
    {0x1.002p0f, 1, 1},
    {0x1.006p0f, 1, 0x1.008p0f},
    {65504, 65536, 65504},
    {65519, 65536, 65504},
    {65520, 65536, kInfinity},
    {-70000, -0x1.12p16f, -kInfinity},
    {1e-8f, 0x1.58p-27f, 0},
    {0x1p-24f, 0x1p-24f, 0x1p-24f},
    {0x1p-25f, 0x1p-25f, 0},
    {3e-6f, 0x1.92p-19f, 0x1.9p-19f},
    {-0.0f, -0.0f, -0.0f},
    {3.4e38f, kInfinity, kInfinity},
    {1e-40f, 0x1p-133f, 0},
    {kInfinity, kInfinity, kInfinity},
    {-kInfinity, -kInfinity, -kInfinity},
    {2049, 2048, 2048},
    {2051, 2048, 0x1.008p11f},
    {257, 256, 257},
    {259, 260, 259},
    {NAN, NAN, NAN},
};

Tensor golden(float Golden::*member) {
  std::vector<float> x;
  for (const Golden& g : kGolden) x.push_back(g.*member);
  return from_vector(x, {5, 5});
}

std::string round_line(const TempDir& dir, const std::string& flags) {
  return "round " + (dir / "x.npy") + ' ' + (dir / "y.npy") + ' ' + flags;
}

}  // namespace

TEST_CASE("cli: round writes NumPy's numbers, and tells what became infinite or is NaN") {
  REQUIRE_BINARY();
  const TempDir dir;
  save_npy(dir / "x.npy", golden(&Golden::x));
  Outcome r = diptych_run(round_line(dir, "--to bf16"));
  CHECK(r.exit_code == 0);
  CHECK(same_bits(load_npy(dir / "y.npy"), golden(&Golden::bf16)));
  CHECK(contains(r.err, "25 values in bf16, rounded to nearest even: 19 changed, 1 overflowed"));
  CHECK(contains(r.err, "(the first: element 16, 3.4e+38), 1 NaN"));
  CHECK(r.out.empty());
  r = diptych_run(round_line(dir, "--to f16"));
  CHECK(r.exit_code == 0);
  CHECK(same_bits(load_npy(dir / "y.npy"), golden(&Golden::f16)));
  CHECK(contains(r.err, "15 changed, 3 overflowed to infinity (the first: element 9, 65520)"));
}

TEST_CASE("cli: round --stochastic is a function of the seed, right on average, never infinite") {
  REQUIRE_BINARY();
  const TempDir dir;
  save_npy(dir / "x.npy", full({40, 50}, 1 + 0x1p-9));
  const auto rounded = [&](const std::string& flags) {
    const Outcome r = diptych_run(round_line(dir, "--to bf16 --stochastic " + flags));
    CHECK(r.exit_code == 0);
    CHECK(contains(r.err, "rounded stochastically: 2000 changed, 0 overflowed to infinity, 0 NaN"));
    return load_npy(dir / "y.npy");
  };
  const Tensor y = rounded("--seed 3");
  int64_t ups = 0;
  for (const float v : y.to_vector<float>()) {
    CHECK((v == 1 || v == 1 + 0x1p-7f));
    ups += v > 1;
  }
  CHECK(std::fabs(static_cast<double>(ups) - 500) < 4.5 * std::sqrt(2000 * 0.25 * 0.75));
  CHECK(same_bits(y, rounded("--seed 3")));
  CHECK(!same_bits(y, rounded("--seed 4")));
  CHECK(same_bits(rounded(""), rounded("--seed 0")));

  save_npy(dir / "x.npy", full({3}, 3.4e38));
  CHECK(diptych_run(round_line(dir, "--to bf16 --stochastic")).exit_code == 0);
  CHECK(load_npy(dir / "y.npy").to_vector<float>() == std::vector<float>(3, 0x1.FEp127f));
}

TEST_CASE("cli: round keeps shapes, also of Fortran's order, of scalars and of nothing") {
  REQUIRE_BINARY();
  const TempDir dir;
  std::string file = "\x93NUMPY\x01";
  file += std::string("\0\x76\0", 3) + "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2), }";
  file += std::string(128 - 1 - file.size(), ' ') + '\n';
  const float columns[] = {1, 3, 2, 0x1.01p0f};
  put_file(dir / "x.npy", file + std::string(reinterpret_cast<const char*>(columns), 16));
  CHECK(diptych_run(round_line(dir, "--to bf16")).exit_code == 0);
  CHECK(same_bits(load_npy(dir / "y.npy"), from_vector<float>({1, 2, 3, 1}, {2, 2})));
  for (const Shape& shape : {Shape{}, Shape{0, 3}}) {
    save_npy(dir / "x.npy", full(shape, 0x1.01p0));
    for (const char* flags : {"--to bf16", "--to bf16 --stochastic"}) {
      CHECK(diptych_run(round_line(dir, flags)).exit_code == 0);
      CHECK(load_npy(dir / "y.npy").shape() == shape);
    }
  }
}

TEST_CASE("cli: round refuses other numbers by name, and flags that mean nothing") {
  REQUIRE_BINARY();
  const TempDir dir;
  const auto fails = [&](const std::string& flags, int code, const std::string& message) {
    const Outcome r = diptych_run(round_line(dir, flags));
    CAPTURE(r.err);
    CHECK(r.exit_code == code);
    CHECK(contains(r.err, message));
    CHECK(get_file(dir / "y.npy") == "old");
  };
  put_file(dir / "y.npy", "old");
  fails("--to bf16", 1, "x.npy");  // there is none
  for (const DType t : {DType::f64, DType::f16, DType::i64}) {
    save_npy(dir / "x.npy", full({3}, 1, t));
    fails("--to bf16", 1, "x.npy' is " + std::string(name(t)));
    fails("--to bf16", 1, "x.astype('float32')");
  }
  save_npy(dir / "x.npy", full({3}, 1));
  fails("", 2, "--to bf16 or --to f16");
  fails("--to fp8", 2, "fp8");
  fails("--to bf16 --seed 1", 2, "--stochastic");
  fails("--to bf16 --stochastic --seed -1", 2, "-1");
  put_file(dir / "x.npy", get_file(dir / "x.npy").substr(0, 130));
  fails("--to bf16", 1, "x.npy");
  CHECK(diptych_run("round " + (dir / "x.npy") + " --to bf16").exit_code == 2);
  save_npy(dir / "x.npy", full({3}, 1));
  const Outcome r = diptych_run("round " + (dir / "x.npy") + " /dev/full/y.npy --to f16");
  CHECK(r.exit_code == 1);
  CHECK(contains(r.err, "/dev/full/y.npy"));
}
