// nn/module_values.cpp — the values under the names: drawn, loaded, moved, read in another type.
#include <algorithm>
#include <map>
#include <sstream>

#include "autograd/operands.h"
#include "autograd/ops.h"
#include "nn/module.h"

namespace diptych::nn {
namespace {

Tensor draw(const Module::Entry& entry, uint64_t seed) {
  const Tensor& t = entry.tensor;
  const Seed source{seed, stream_of(entry.name)};
  const double value = entry.init.value;
  switch (entry.init.kind) {
    case Init::Kind::constant:
      return full(t.shape(), value, t.dtype());
    case Init::Kind::uniform:
      return uniform(t.shape(), -value, value, source, t.dtype());
    case Init::Kind::normal:
      break;
  }
  const NoGrad no_grad;
  return randn(t.shape(), source, t.dtype()) * value;
}

// What an entry becomes when its module becomes `dtype`.
DType dtype_of(const Module::Entry& entry, DType dtype) {
  if (entry.trained) return dtype;
  if (!is_float(entry.tensor.dtype())) return entry.tensor.dtype();
  return statistics_dtype(dtype);
}

// What is wrong with a state dict, a line each. A hostile file can be wrong a million times.
class Problems {
 public:
  template <class... Args>
  void add(const Args&... args) {
    if (++count_ > kShown) return;
    text_ << "\n  ";
    (text_ << ... << args);
  }

  void throw_if_any() const {
    const int64_t hidden = std::max<int64_t>(count_ - kShown, 0);
    check(count_ == 0, "load_state: the tensors do not fit the model:", text_.str(),
          hidden > 0 ? "\n  … and " + std::to_string(hidden) + " more" : "");
  }

 private:
  static constexpr int64_t kShown = 20;
  std::ostringstream text_;
  int64_t count_ = 0;
};

void move(const Module::Entry& entry, const Tensor& data) {
  Tensor tensor = entry.tensor;
  if (!needs_grad(tensor)) {
    tensor.set_data(data);
    if (entry.copy) *entry.copy = {};
    return;
  }
  move_leaf(tensor, data, statistics_dtype(data));
  *entry.copy = {};
}

// As it is, or as it becomes now.
const Tensor& refreshed(NarrowCopy& copy, const Tensor& parameter, DType dtype) {
  if (!copy.is_of(parameter) || copy.tensor.dtype() != dtype)
    copy = {parameter.detach().to(dtype), parameter.version()};
  return copy.tensor;
}

}  // namespace

uint64_t stream_of(const std::string& name) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

void Module::compute_in(DType dtype) {
  check(is_float(dtype), "compute_in: ", dtype, " is no type to compute in");
  compute_ = dtype;
  for (const auto& [name, module] : children_) module->compute_in(dtype);
}

DType Module::compute_dtype(const Tensor& parameter) const {
  return compute_.value_or(parameter.dtype());
}

// Only a copy that is narrower than the parameter is worth its memory between two uses. What is
// summed into its gradient is not rounded to the copy's dtype on the way.
Tensor Module::in(const Tensor& parameter) const {
  const DType dtype = compute_dtype(parameter), gradients = gradient_dtype(parameter);
  if (dtype == parameter.dtype() && dtype == gradients) return parameter;
  const bool narrower = size_of(dtype) < size_of(parameter.dtype());
  const Tensor copy = narrower ? narrow_copy(parameter, dtype) : cast(parameter, dtype);
  if (size_of(dtype) < size_of(gradients)) collect_wide(copy, gradients);
  return copy;
}

// Rounded once for all its uses.
Tensor Module::narrow_copy(const Tensor& parameter, DType dtype) const {
  const auto it = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.trained && entry.tensor.same_storage(parameter);
  });
  check(it != entries_.end(), "in: not a parameter of this module, ", parameter.shape());
  return record("cast", refreshed(*it->copy, parameter, dtype), {parameter},
                [to = gradient_dtype(parameter)](const Tensor& g) -> Grads { return {g.to(to)}; });
}

void Module::initialize(uint64_t seed) {
  for (Entry& entry : state()) entry.tensor.copy_(draw(entry, seed));
}

// The value of each entry.
std::vector<Tensor> Module::matched(const std::vector<NamedTensor>& values) const {
  std::map<std::string, Tensor> given;
  Problems problems;
  for (const NamedTensor& value : values) {
    if (!given.emplace(value.name, value.tensor).second) problems.add("twice: ", value.name);
  }
  std::vector<Tensor> found;
  for (const Entry& entry : state()) {
    const auto it = given.find(entry.name);
    if (it == given.end()) {
      problems.add("missing: ", entry.name, ' ', entry.tensor.shape());
      continue;
    }
    if (!(it->second.shape() == entry.tensor.shape())) {
      problems.add("wrong shape: ", entry.name, " is ", it->second.shape(), ", the model needs ",
                   entry.tensor.shape());
    }
    found.push_back(it->second);
    given.erase(it);
  }
  for (const auto& [name, tensor] : given) problems.add("unexpected: ", name, ' ', tensor.shape());
  problems.throw_if_any();
  return found;
}

void Module::check_state(const std::vector<NamedTensor>& values) const { matched(values); }

void Module::load_state(const std::vector<NamedTensor>& values) {
  const std::vector<Tensor> found = matched(values);
  std::vector<Entry> entries = state();
  for (size_t i = 0; i < entries.size(); ++i) entries[i].tensor.copy_(found[i]);
}

void Module::to(Device device) {
  for (const Entry& entry : state())
    if (is_float(entry.tensor.dtype())) move(entry, entry.tensor.to(device));
}

void Module::to(DType dtype) {
  for (const Entry& entry : state()) move(entry, entry.tensor.to(dtype_of(entry, dtype)));
}

void Module::matrices_to(DType dtype) {
  for (const Entry& entry : named_parameters())
    if (entry.tensor.rank() >= 2) move(entry, entry.tensor.to(dtype));
}

void Module::zero_grad() {
  for (const Tensor& t : parameters())
    if (needs_grad(t)) set_grad(t, {});
}

}  // namespace diptych::nn
