// clip/precision.cpp — the one list of what runs in which type.
#include "clip/precision.h"

#include <fmt/core.h>

#include <array>

#include "clip/spelling.h"

namespace diptych {
namespace {

struct Types {
  Precision precision;
  const char* name;
  DType compute, parameters;
};

constexpr std::array<Types, 4> kPrecisions{{
    {Precision::fp32, "fp32", DType::f32, DType::f32},
    {Precision::amp_bf16, "amp_bf16", DType::bf16, DType::f32},
    {Precision::amp_fp16, "amp_fp16", DType::f16, DType::f32},
    {Precision::pure_bf16, "pure_bf16", DType::bf16, DType::bf16},
}};

const Types& types_of(Precision p) { return kPrecisions[static_cast<size_t>(p)]; }

/// Where the type of a row comes from.
enum class In : uint8_t { compute, parameters, text, moments, f32 };

struct Row {
  const char* what;
  In kept;           // the type of what is read and written
  const char* note;  // in which type it is computed, and what else to know
};

constexpr Row kRows[] = {
    {"products and convolutions", In::compute, "sums in f32, rounded once"},
    {"attention", In::compute, "scores, softmax and sums in f32"},
    {"activations, residual stream", In::compute, "kept for the backward pass in this type"},
    {"gradients of activations", In::compute, ""},
    {"layer norm, batch norm: rows", In::compute, "statistics and arithmetic in f32"},
    {"layer norm, batch norm: gains", In::parameters, "read as f32, never rounded on the way"},
    {"features, normalisation", In::f32, ""},
    {"cosines, logits, loss", In::f32, "no bf16 logit: near 30 its steps are 0.125"},
    {"parameters", In::parameters, ""},
    {"text tower's matrices, embeddings", In::text, "in this type only"},
    {"gradients of parameters", In::f32, "collected, clipped and averaged in f32"},
    {"running statistics, temperature", In::f32, ""},
    {"moments of AdamW", In::moments, "the step itself in f32"},
};

DType type_of(In in, const PrecisionConfig& c) {
  switch (in) {
    case In::compute:
      return compute_dtype(c.precision);
    case In::parameters:
      return parameter_dtype(c.precision);
    case In::text:
      return text_dtype(c);
    case In::moments:
      return c.adam_stats;
    case In::f32:
      break;
  }
  return DType::f32;
}

}  // namespace

const char* name(Precision p) { return types_of(p).name; }

std::vector<std::string> precision_names() {
  std::vector<std::string> names;
  for (const Types& types : kPrecisions) names.emplace_back(types.name);
  return names;
}

Precision precision_from(const std::string& text) {
  std::string all;
  for (const Types& types : kPrecisions) {
    if (text == types.name) return types.precision;
    all += (all.empty() ? "" : ", ") + std::string(types.name);
  }
  const std::string guess = nearest(text, precision_names());
  fail("precision: there is no '", text, '\'', guess.empty() ? "" : "; did you mean " + guess + '?',
       guess.empty() ? "; known: " : " known: ", all);
}

DType compute_dtype(Precision p) { return types_of(p).compute; }
DType parameter_dtype(Precision p) { return types_of(p).parameters; }

DType text_dtype(const PrecisionConfig& c) {
  return c.text_weights == DType::f32 ? parameter_dtype(c.precision) : c.text_weights;
}

bool is_consistent(const PrecisionConfig& c) {
  return c.precision != Precision::pure_bf16 || c.text_weights != DType::f16;
}

std::string explain(const PrecisionConfig& c) {
  const Types& types = types_of(c.precision);
  std::string text = fmt::format("precision {}\n", types.name);
  for (const Row& row : kRows)
    text += fmt::format("  {:<36} {:<5} {}\n", row.what, name(type_of(row.kept, c)), row.note);
  if (size_of(types.compute) < size_of(types.parameters))
    text +=
        fmt::format("  copies of the parameters in {}, written by AdamW, are what products read\n",
                    name(types.compute));
  return text;
}

}  // namespace diptych
