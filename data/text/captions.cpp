// data/text/captions.cpp — packing.
#include "data/text/captions.h"

#include <algorithm>

#include "tensor/factory.h"

namespace diptych {

PackedTokens pack_tokens(const Tensor& padded) {
  check(padded.rank() == 2 && padded.dtype() == DType::i64 && padded.numel() > 0,
        "tokens: needs i64 (B, T), got ", padded.dtype(), ' ', padded.shape());
  const auto ids = padded.to_vector<int64_t>();
  const int64_t B = padded.dim(0), T = padded.dim(1);
  std::vector<int64_t> tokens, offsets{0};
  for (int64_t b = 0; b < B; ++b) {
    const auto row = ids.begin() + b * T;
    tokens.insert(tokens.end(), row, std::max_element(row, row + T) + 1);
    offsets.push_back(static_cast<int64_t>(tokens.size()));
  }
  return {from_vector(tokens, {offsets.back()}), from_vector(offsets, {B + 1})};
}

}  // namespace diptych
