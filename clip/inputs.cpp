// clip/inputs.cpp — model inputs from files.
#include "clip/inputs.h"

#include "tensor/factory.h"

namespace diptych {

Tensor load_pixels(const std::vector<std::string>& paths, const Preprocess& settings) {
  const auto N = static_cast<int64_t>(paths.size());
  const Tensor pixels = empty({N, settings.channels, settings.size, settings.size});
  for (int64_t i = 0; i < N; ++i)
    to_pixels(square_view(load_picture(paths[static_cast<size_t>(i)]), settings), settings,
              pixels.slice(0, i, i + 1).data<float>());
  return pixels;
}

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
