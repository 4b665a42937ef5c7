// clip/eval/retrieval.h — finding the picture of a text and the text of a picture.
#pragma once

#include <cstdint>
#include <vector>

#include "tensor/tensor.h"

namespace diptych {

/// Over all queries: the share whose own item is among the first K, and where it stands, from 1.
struct Recall {
  double at1 = 0, at5 = 0, at10 = 0, mean_rank = 0;
  int64_t median_rank = 0;  ///< the floor of the median of ranks from 0, plus 1
};

/// Where item i stands among all items for query i, from 0, by scores queries · itemsᵀ: behind
/// those that score higher, and behind those of a lower index that score the same (as
/// open_clip_train/train.py, get_clip_metrics). queries, items (N, E), f32 on one device.
/// A block of queries at a time: never all scores at once.
std::vector<int64_t> ranks(const Tensor& queries, const Tensor& items);

/// Throws Error if there are none.
Recall recall(std::vector<int64_t> ranks);

}  // namespace diptych
