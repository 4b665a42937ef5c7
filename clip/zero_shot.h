// clip/zero_shot.h — classification by captions (Radford et al., 2021, section 3.1).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "clip/model.h"
#include "data/loader.h"

namespace diptych {

/// Features of texts, in batches: (N, E), not normalised. Throws Error if one is longer than the
/// context, unless `overflow` allows to cut it.
Tensor encode_texts(const Clip&, const Tokenizer&, const std::vector<std::string>& texts,
                    Overflow overflow = Overflow::error);
/// Throws Error, naming the picture, if pixels (N, …) contain NaN or infinity.
void check_finite(const Tensor& pixels);
/// Features of pictures, in batches: (N, E), not normalised. Throws Error, naming the picture, on
/// NaN or infinity.
Tensor encode_pixels(const Clip&, const Tensor& pixels);

/// One row per class, of length one: the mean over templates of normalised text features,
/// normalised again. → (K, E)
Tensor zero_shot_head(const Clip&, const Tokenizer&, const std::vector<std::string>& names,
                      const std::vector<std::string>& templates,
                      Overflow overflow = Overflow::error);
/// The same, kept as a file in `folder` under a hash of everything that decides it. A folder that
/// cannot be written only costs time; an empty one means no cache.
Tensor cached_zero_shot_head(const Clip&, const Tokenizer&, const std::vector<std::string>& names,
                             const std::vector<std::string>& templates, const std::string& folder,
                             Overflow overflow = Overflow::error);

/// Cosines times exp(logit_scale): pixels (B, C, R, R), head (K, E) → (B, K)
Tensor zero_shot_logits(const Clip&, const Tensor& head, const Tensor& pixels);

/// What the pictures of a dataset were taken for.
struct Predictions {
  std::vector<int64_t> labels;  ///< the truth
  std::vector<std::vector<int64_t>>
      ranked;  ///< the five best classes (fewer if there are fewer), best first
};
Predictions classify_dataset(const Clip&, const Tensor& head, Loader&,
                             const std::function<void(int64_t done)>& progress = {});

struct Accuracy {
  double acc1 = 0, acc5 = 0, mean_per_class_recall = 0;
  int64_t pictures = 0;
};
/// Over the pictures whose label `include`s.
Accuracy accuracy(const Predictions&, const std::function<bool(int64_t label)>& include);

}  // namespace diptych
