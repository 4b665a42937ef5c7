// clip/eval/encode.cpp — the towers without a history, a batch at a time.
#include "clip/eval/encode.h"

#include <cmath>
#include <functional>

namespace diptych {
namespace {

constexpr int64_t kBatch = 128;

// Rows [begin, begin + kBatch) of n at a time.
Tensor in_batches(int64_t n, const std::function<Tensor(int64_t begin, int64_t end)>& encode) {
  std::vector<Tensor> parts;
  for (int64_t begin = 0; begin < n; begin += kBatch)
    parts.push_back(encode(begin, std::min(n, begin + kBatch)));
  const Tensor features = cat(parts, 0);
  check_finite(features, "encode: row");
  return features;
}

}  // namespace

void check_finite(const Tensor& values, const std::string& what) {
  const Tensor rows = values.contiguous().view({values.dim(0), -1});
  const auto totals = sum(mul(rows, full({}, 0, rows.dtype(), rows.device())), 1)
                          .to_vector<double>();  // 0 · NaN = 0 · inf = NaN
  for (size_t i = 0; i < totals.size(); ++i) {
    check(!std::isnan(totals[i]), what, " ", i, " contains NaN or infinity");
  }
}

Tensor encode_texts(const Clip& model, const Tokenizer& words,
                    const std::vector<std::string>& texts, Overflow overflow) {
  check(!texts.empty(), "encode: there are no texts");
  const NoGrad no_grad;
  return in_batches(static_cast<int64_t>(texts.size()), [&](int64_t begin, int64_t end) {
    std::vector<std::vector<int64_t>> captions;
    for (int64_t i = begin; i < end; ++i)
      captions.push_back(words.tokenize(texts[static_cast<size_t>(i)],
                                        model.config().text.context_length, overflow));
    return model.encode_text(pack(captions).to(model.device()));
  });
}

Tensor encode_pixels(const Clip& model, const Tensor& pixels) {
  check(pixels.rank() == 4 && pixels.dim(0) > 0,
        "encode: needs pixels (N, C, R, R) with N > 0, got ", pixels.shape());
  const NoGrad no_grad;
  check_finite(pixels);
  return in_batches(pixels.dim(0), [&](int64_t begin, int64_t end) {
    return model.encode_image(pixels.slice(0, begin, end).to(model.device()));
  });
}

}  // namespace diptych
