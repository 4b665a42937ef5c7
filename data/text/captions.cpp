// data/text/captions.cpp — packing.
#include "data/text/captions.h"

#include <algorithm>

#include "tensor/factory.h"

namespace diptych {
namespace {

/// Behind the last token of a caption.
const int64_t* end_of(const int64_t* row, int64_t T, std::optional<int64_t> id, int64_t caption) {
  if (!id) return std::max_element(row, row + T) + 1;
  const int64_t* last = std::find(row, row + T, *id);
  check(last != row + T, "tokens: caption ", caption, " has no end token, id ", *id);
  return last + 1;
}

}  // namespace

Captions Captions::to(Device device) const {
  if (device == tokens.device()) return *this;
  const int64_t n = tokens.numel();
  const Tensor numbers = layout.numbers(),
               all = empty({n + numbers.numel()}, DType::i64, tokens.device());
  all.slice(0, 0, n).copy_(tokens);
  all.slice(0, n, all.dim(0)).copy_(numbers);
  const Tensor there = all.to(device);
  return {there.slice(0, 0, n), layout.at(there.slice(0, n, there.dim(0)))};
}

Captions pack(const std::vector<std::vector<int64_t>>& captions) {
  std::vector<int64_t> tokens, lengths;
  for (const auto& ids : captions) {
    tokens.insert(tokens.end(), ids.begin(), ids.end());
    lengths.push_back(static_cast<int64_t>(ids.size()));
  }
  return {from_vector(tokens, {static_cast<int64_t>(tokens.size())}), Ragged::of_lengths(lengths)};
}

Captions pack_padded(const Tensor& tokens, const CaptionEnd& end) {
  check(tokens.rank() == 2 && tokens.dtype() == DType::i64 && tokens.numel() > 0,
        "tokens: needs i64 (B, T), got ", tokens.dtype(), ' ', tokens.shape());
  const int64_t B = tokens.dim(0), T = tokens.dim(1);
  check(end.whole == 0 || T == end.whole, "tokens: this model reads what follows the end of a ",
        "caption too: rows must be ", end.whole, " long, padding included, got ", tokens.shape());
  const auto ids = tokens.to_vector<int64_t>();
  std::vector<std::vector<int64_t>> captions;
  for (int64_t b = 0; b < B; ++b) {
    const int64_t* row = ids.data() + b * T;
    captions.emplace_back(row, end.whole ? row + T : end_of(row, T, end.id, b));
  }
  return pack(captions);
}

}  // namespace diptych
