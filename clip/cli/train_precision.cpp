// clip/cli/train_precision.cpp — reading those flags, and saying what they change.
#include "clip/cli/train_precision.h"

#include <fmt/core.h>

namespace diptych::cli {
namespace {

DType half_from(const std::string& name, DType otherwise) {
  return name.empty()     ? otherwise
         : name == "f16"  ? DType::f16
         : name == "bf16" ? DType::bf16
                          : DType::f32;
}

}  // namespace

void TrainPrecisionFlags::declare_types(Command command) {
  command.option("--precision", precision, "fp32, amp_bf16, amp_fp16 or pure_bf16 (default fp32)")
      .choice("--adam-stats", adam_stats, "type of AdamW's moments (default f32)", {"f32", "f16"})
      .choice("--text-weights", text_weights,
              "the only type of the text tower's matrices and embeddings (default f32)",
              {"f32", "f16", "bf16"});
}

void TrainPrecisionFlags::declare(Command command) {
  declare_types(command);
  command
      .choice("--rounding", rounding,
              "how parameters of 16 bits are rounded: by chance, so that small updates count on "
              "average (default), or to nearest",
              {"stochastic", "nearest"})
      .flag("--explain-precision", explain_precision,
            "print what runs and what is kept in which type, and do nothing else");
}

PrecisionConfig TrainPrecisionFlags::config(const PrecisionConfig& so_far) const {
  PrecisionConfig c = so_far;
  if (!precision.empty()) c.precision = PrecisionFlag{precision}.precision().precision;
  c.adam_stats = half_from(adam_stats, c.adam_stats);
  c.text_weights = half_from(text_weights, c.text_weights);
  if (!rounding.empty()) c.round_to_nearest = rounding == "nearest";
  check_usage(rounding.empty() || size_of(text_dtype(c)) == 2,
              "train: --rounding is of parameters of 16 bits, and there are none; give "
              "--text-weights f16 or bf16, or --precision pure_bf16, as well");
  check_usage(is_consistent(c),
              "train: --precision pure_bf16 keeps all parameters in bf16; --text-weights f16 "
              "contradicts it");
  return c;
}

std::string conversion(const PrecisionConfig& before, const PrecisionConfig& now) {
  std::string text;
  const auto note = [&](const std::string& part) { text += (text.empty() ? "" : "; ") + part; };
  if (before.precision != now.precision)
    note(fmt::format("precision {} becomes {}: parameters {} become {}, products read {}",
                     name(before.precision), name(now.precision),
                     name(parameter_dtype(before.precision)), name(parameter_dtype(now.precision)),
                     name(compute_dtype(now.precision))));
  if (now.precision == Precision::amp_fp16 && before.precision != now.precision)
    note("the loss scale begins at 65536");
  if (text_dtype(before) != text_dtype(now))
    note(fmt::format("text weights {} are converted to {}, to nearest", name(text_dtype(before)),
                     name(text_dtype(now))));
  if (before.adam_stats != now.adam_stats)
    note(fmt::format("moments {} are converted to {}", name(before.adam_stats),
                     name(now.adam_stats)));
  if (before.round_to_nearest != now.round_to_nearest && size_of(text_dtype(now)) == 2)
    note(fmt::format("updates of 16-bit parameters are rounded {} from now on",
                     now.round_to_nearest ? "to nearest" : "by chance"));
  return text;
}

}  // namespace diptych::cli
