// data/text/captions.cpp — packing.
#include "data/text/captions.h"

#include <algorithm>

#include "tensor/factory.h"

namespace diptych {

Captions pack(const std::vector<std::vector<int64_t>>& captions) {
  std::vector<int64_t> tokens, lengths;
  for (const auto& ids : captions) {
    tokens.insert(tokens.end(), ids.begin(), ids.end());
    lengths.push_back(static_cast<int64_t>(ids.size()));
  }
  return {from_vector(tokens, {static_cast<int64_t>(tokens.size())}), Ragged::of_lengths(lengths)};
}

Captions pack_padded(const Tensor& tokens) {
  check(tokens.rank() == 2 && tokens.dtype() == DType::i64 && tokens.numel() > 0,
        "tokens: needs i64 (B, T), got ", tokens.dtype(), ' ', tokens.shape());
  const auto ids = tokens.to_vector<int64_t>();
  std::vector<std::vector<int64_t>> captions;
  for (auto row = ids.begin(); row != ids.end(); row += tokens.dim(1))
    captions.emplace_back(row, std::max_element(row, row + tokens.dim(1)) + 1);
  return pack(captions);
}

}  // namespace diptych
