// tests/precisions.h — every precision that a run can have, and one batch for any model.
#pragma once

#include <string>
#include <vector>

#include "clip/train/step.h"

namespace diptych::test {

/// "amp_bf16, moments f16, text f32"
inline std::string label(const PrecisionConfig& c) {
  return std::string(name(c.precision)) + ", moments " + name(c.adam_stats) + ", text " +
         name(text_dtype(c));
}

/// All that differ: under pure_bf16 the text weights are bf16 anyhow.
inline std::vector<PrecisionConfig> all_precisions() {
  std::vector<PrecisionConfig> all;
  for (const std::string& precision : precision_names())
    for (const DType moments : {DType::f32, DType::f16})
      for (const DType text : {DType::f32, DType::f16, DType::bf16})
        if (precision != "pure_bf16" || text == DType::f32)
          all.push_back({precision_from(precision), moments, text});
  return all;
}

struct RandomPairs {
  Tensor pixels;
  Captions captions;
};

/// Random pictures, and captions of four to six tokens.
inline RandomPairs random_pairs(const ModelConfig& c, int64_t B, uint64_t seed) {
  PhiloxStream rng(seed, 3);
  std::vector<std::vector<int64_t>> captions(static_cast<size_t>(B));
  for (size_t b = 0; b < captions.size(); ++b)
    for (size_t t = 0; t < 4 + b % 3; ++t) captions[b].push_back(rng.below(c.text.vocab_size));
  return {randn({B, c.channels(), c.image_size(), c.image_size()}, {seed, 2}), pack(captions)};
}

}  // namespace diptych::test
