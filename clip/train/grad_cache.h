// clip/train/grad_cache.h — a batch whose activations do not fit in memory, with the gradients of
// one that does (Gao et al., "Scaling deep contrastive learning batch size under memory limited
// setup", 2021).
#pragma once

#include <string>

#include "clip/train/step.h"

namespace diptych {

/// Pairs in a part of a batch of B that is worked through in K of them: ⌈B / K⌉, the last part has
/// the rest. So there may be fewer: 5 pairs in 4 parts are 2, 2 and 1.
int64_t chunk_size(int64_t B, int64_t K);

/// Features (B, E) without a history, `chunk` pictures or captions at a time.
Tensor image_features(const Clip&, const Pictures&, int64_t chunk);
Tensor text_features(const Clip&, const Captions&, int64_t chunk);

/// Features of every part without a graph; the loss of all of them, its gradient with respect to
/// them and, once, to the temperature; then each part forward again, with a graph, and that
/// gradient back through it. Every gradient is that of the whole batch, since the loss sees towers
/// through their features alone. What is left out by chance is left out in both passes as in the
/// whole batch. A tower that is locked is not run twice.
///
/// Batch norm is the exception, a picture is normalised by those beside it: statistics are those of
/// a part, in both passes, and running statistics follow each part once, in the second pass.
StepValues grad_cached(const Clip&, const Pictures&, const Captions&, const StepOptions&);

/// One line for who trains so: the size of the parts, and what becomes of batch norm. Empty for
/// K = 1.
std::string chunk_note(const ModelConfig&, int64_t B, int64_t K);

}  // namespace diptych
