// clip/cli/round.cpp — `diptych round`: the numbers of a file as 16 bits would keep them.
#include <fmt/core.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "clip/cli/command.h"
#include "clip/console.h"
#include "tensor/io/npy.h"
#include "tensor/kernels.h"

namespace diptych::cli {
namespace {

struct Flags {
  std::string in, out, to;
  bool stochastic = false, json = false;
  std::optional<uint64_t> seed;
};

Tensor load_f32(const std::string& path) {
  const Tensor x = load_npy(path);
  check(x.dtype() == DType::f32, "round: '", path, "' is ", x.dtype(),
        ", and rounding once more on the way would be another result; write it as f32: in NumPy, "
        "x.astype('float32')");
  return x.contiguous();
}

/// x in 16 bits, and wide again.
Tensor rounded(const Tensor& x, const Flags& flags) {
  const DType dtype = flags.to == "f16" ? DType::f16 : DType::bf16;
  if (!flags.stochastic) return x.to(dtype).to(DType::f32);
  Tensor y = empty(x.shape(), dtype);
  kernel::round_stochastic(Device::cpu, {flags.seed.value_or(0), 0}, x, y);
  return y.to(DType::f32);
}

/// What became of the values.
struct Account {
  Account(const Tensor& before, const Tensor& after) {
    const float *x = before.data<float>(), *y = after.data<float>();
    for (int64_t i = 0; i < before.numel(); ++i) {
      nan += std::isnan(x[i]);
      changed += !std::isnan(x[i]) && x[i] != y[i];
      if (!std::isfinite(x[i]) || std::isfinite(y[i])) continue;
      if (infinite++ == 0) first = fmt::format(" (the first: element {}, {})", i, x[i]);
    }
  }
  int64_t changed = 0, infinite = 0, nan = 0;
  std::string first;
};

int run(const Flags& flags) {
  check_usage(!flags.to.empty(), "round: to what? --to bf16 or --to f16");
  check_usage(flags.stochastic || !flags.seed,
              "round: --seed is of --stochastic; rounding to nearest needs no random numbers");
  const Tensor x = load_f32(flags.in), y = rounded(x, flags);
  save_npy(flags.out, y);
  const Account account(x, y);
  if (flags.json) {
    print_json(nlohmann::ordered_json{{"out", flags.out},
                                      {"to", flags.to},
                                      {"stochastic", flags.stochastic},
                                      {"values", x.numel()},
                                      {"changed", account.changed},
                                      {"infinite", account.infinite},
                                      {"nan", account.nan}});
    return 0;
  }
  tell(fmt::format("{}: {} values in {}, {}: {} changed, {} overflowed to infinity{}, {} NaN\n",
                   flags.out, x.numel(), flags.to,
                   flags.stochastic ? "rounded stochastically" : "rounded to nearest even",
                   account.changed, account.infinite, account.first, account.nan));
  return 0;
}

void declare(Command command, Flags& flags) {
  command.required("in", flags.in, ".npy file of f32")
      .required("out", flags.out, ".npy file, f32 again")
      .choice("--to", flags.to, "16 bits of which type", {"bf16", "f16"})
      .flag("--stochastic", flags.stochastic,
            "up or down by chance, right on average, never to infinity; else to nearest even")
      .option("--seed", flags.seed, "of --stochastic (default 0)")
      .json(flags.json);
}

}  // namespace

void add_round(Commands& commands) {
  commands.add("round", "round the numbers of an .npy file to 16 bits", declare, run);
}

}  // namespace diptych::cli
