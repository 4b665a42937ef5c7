// clip/precision.h — in which types a model computes, and what it keeps in which.
#pragma once

#include <string>
#include <vector>

#include "tensor/types.h"

namespace diptych {

/// With open_clip's names and meaning. amp: parameters stay f32, products read 16-bit copies of
/// them, and what flows between layers is 16 bits. pure: the parameters are 16 bits themselves
/// (open_clip rounds them to nearest, here that is a choice: see PrecisionConfig).
enum class Precision : uint8_t { fp32, amp_bf16, amp_fp16, pure_bf16 };

const char* name(Precision);
/// Throws Error, naming the nearest and listing all, for any other name.
Precision precision_from(const std::string& name);
/// All names, in order.
std::vector<std::string> precision_names();

/// The type of what flows between layers.
DType compute_dtype(Precision);
/// The type of the parameters.
DType parameter_dtype(Precision);

/// What a run computes and keeps in which type.
struct PrecisionConfig {
  Precision precision = Precision::fp32;
  DType adam_stats = DType::f32;    ///< f32, f16: of AdamW's moments
  DType text_weights = DType::f32;  ///< f32, f16, bf16: of the text tower's matrices and embeddings
  bool round_to_nearest = false;    ///< parameters of 16 bits; else by chance
  bool operator==(const PrecisionConfig&) const = default;
};

/// That of the text tower's matrices and embeddings.
DType text_dtype(const PrecisionConfig&);
/// Whether that can be had: pure_bf16 leaves nothing to be f16.
bool is_consistent(const PrecisionConfig&);
/// What runs in which type, one line each: a table for people.
std::string explain(const PrecisionConfig&);

}  // namespace diptych
