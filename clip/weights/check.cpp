// clip/weights/check.cpp — weights against arithmetic, configurations against weights.
#include "clip/weights/check.h"

#include <atomic>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <sstream>
#include <string_view>

#include "clip/model.h"
#include "clip/weights/names.h"
#include "tensor/io/file.h"
#include "tensor/parallel.h"

namespace diptych {
namespace {

// Whether f32, in which models compute, has a number for it.
bool is_number(float x) { return std::isfinite(x); }
bool is_number(double x) { return std::abs(x) <= std::numeric_limits<float>::max(); }
bool is_number(f16 x) { return std::isfinite(static_cast<float>(x)); }
bool is_number(bf16 x) { return std::isfinite(static_cast<float>(x)); }

template <class T, class Ok>
int64_t count_unless(const Ok& ok, const Tensor& packed) {
  constexpr int64_t kGrain = 1 << 16;
  std::atomic<int64_t> total = 0;
  parallel_for(packed.numel(), kGrain, [&](int64_t begin, int64_t end) {
    const T* x = packed.data<T>();
    int64_t bad = 0;
    for (int64_t i = begin; i < end; ++i) bad += !ok(x[i]);
    total += bad;
  });
  return total;
}

template <class Ok>
int64_t count_unless(const Ok& ok, const Tensor& x) {
  const Tensor packed = x.contiguous();
  switch (x.dtype()) {
    case DType::f32:
      return count_unless<float>(ok, packed);
    case DType::f64:
      return count_unless<double>(ok, packed);
    case DType::f16:
      return count_unless<f16>(ok, packed);
    case DType::bf16:
      return count_unless<bf16>(ok, packed);
    default:
      return 0;
  }
}

template <class... Args>
void require(bool ok, const NamedTensor& x, const Args&... what) {
  if (ok) return;
  fail("tensor ", in_quotes(x.name), ' ', x.tensor.shape(), ": ", what...,
       "; the file is damaged, or the training that wrote it diverged: take an earlier one");
}

void check_logit_scale(const NamedTensor& x) {
  if (x.tensor.numel() != 1 || !is_float(x.tensor.dtype())) return;
  const double value = x.tensor.contiguous().view({}).item();
  const auto scale = static_cast<float>(std::exp(value));
  require(std::isfinite(scale) && scale > 0, x, "exp(", value,
          ") is no finite number above 0, by which cosines could be multiplied");
}

void check_values_of(const NamedTensor& x) {
  const int64_t bad = count_unless([](auto value) { return is_number(value); }, x.tensor);
  require(bad == 0, x, bad, " of ", x.tensor.numel(), " values are NaN, infinite or beyond f32");
  if (x.name.ends_with("running_var")) {
    const int64_t below =
        count_unless([](auto value) { return static_cast<double>(value) >= 0; }, x.tensor);
    require(below == 0, x, below, " of ", x.tensor.numel(), " variances are negative");
  }
  if (x.name.ends_with("logit_scale")) check_logit_scale(x);
}

/// Blocks are what makes a model long to build and are the only sizes that are in no shape.
void check_blocks(int64_t blocks, const char* where, size_t tensors) {
  constexpr int64_t kPerBlock = 12;  // of a transformer; one of a ResNet has 18 or more
  check(blocks <= static_cast<int64_t>(tensors) / kPerBlock, "config: ", blocks, " blocks in the ",
        where, " tower are more than the file holds, which has ", tensors,
        " tensors; some are missing, or the configuration is another model's");
}

int64_t vision_blocks(const ModelConfig& c) {
  if (!c.has_image()) return 0;
  if (c.vit() != nullptr) return c.vit()->transformer.layers;
  const auto& stages = c.resnet()->layers;
  return std::accumulate(stages.begin(), stages.end(), int64_t{0});
}

/// The first of the model's tensors that has another shape in the file tells most: what is narrower
/// or deeper differs in nearly all.
void check_architecture(const nn::Module& model, const std::vector<NamedTensor>& tensors) {
  std::map<std::string_view, Shape> given;
  for (const NamedTensor& x : tensors) given.emplace(x.name, x.tensor.shape());
  std::string first;
  int64_t more = -1;
  for (const auto& entry : model.state()) {
    const auto it = given.find(entry.name);
    if (it == given.end() || it->second == entry.tensor.shape()) continue;
    if (++more > 0) continue;
    std::ostringstream text;
    text << in_quotes(entry.name) << " is " << it->second << ", the model needs "
         << entry.tensor.shape();
    first = text.str();
  }
  check(first.empty(), "the weights are of another architecture than the configuration: ", first,
        ", and ", more, " more tensors differ");
}

}  // namespace

void check_values(const std::vector<NamedTensor>& tensors) {
  for (const NamedTensor& x : tensors)
    if (is_weight(x.name)) check_values_of(x);
}

void check_sizes(const ModelConfig& c, const std::vector<NamedTensor>& tensors) {
  check_blocks(vision_blocks(c), "vision", tensors.size());
  if (c.has_text()) check_blocks(c.text.transformer.layers, "text", tensors.size());
  const nn::ShapesOnly shapes_only;
  const Clip model(c);
  check_architecture(model, tensors);
  model.check_state(tensors);
}

}  // namespace diptych
