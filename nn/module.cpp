// nn/module.cpp — state dicts: collecting, drawing, loading, moving.
#include "nn/module.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <mutex>
#include <set>
#include <sstream>

#include "autograd/operands.h"
#include "autograd/ops.h"

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

thread_local int shapes_only = 0;
thread_local int64_t unregistered_count = 0;

Tensor filled(const Shape& shape, double value, DType dtype) {
  check(is_addressable(shape), "module: no parameter can have the shape ", shape);
  return shapes_only > 0 ? full({}, value, dtype).expand(shape) : full(shape, value, dtype);
}

// The modules without a parent, of all threads, by address.
struct Roots {
  std::mutex mutex;
  std::set<const void*> modules;
};

// Never destroyed: a module in static storage may outlive every other static.
Roots& roots() {
  static auto* all = new Roots;
  return *all;
}

void add_root(const Module* module) {
  ++unregistered_count;
  const std::lock_guard lock(roots().mutex);
  roots().modules.insert(module);
}

void remove_root(const Module* module) {
  --unregistered_count;
  const std::lock_guard lock(roots().mutex);
  roots().modules.erase(module);
}

constexpr const char* kNotRegistered =
    " a module that child() did not make: it would be neither trained nor saved; make it by "
    "child<Layer>(name, …) and keep the reference";

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
  if (!entry.trained) return tensor.set_data(data);
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

ShapesOnly::ShapesOnly() { ++shapes_only; }
ShapesOnly::~ShapesOnly() { --shapes_only; }

Module::Module() { add_root(this); }

Module::~Module() {
  if (!registered_) remove_root(this);
}

int64_t Module::unregistered_here() { return unregistered_count; }

Tensor Module::parameter(std::string name, Shape shape, Init init, Bounds bounds) {
  constexpr double kUnset = std::numeric_limits<double>::quiet_NaN();
  const Tensor tensor = track(filled(shape, kUnset, DType::f32));
  const Entry entry{std::move(name), tensor, init, true, bounds, std::make_shared<NarrowCopy>()};
  add_names({entry});
  entries_.push_back(entry);
  return tensor;
}

Tensor Module::table(std::string name, Shape shape, Init init) {
  const Tensor tensor = parameter(std::move(name), shape, init);
  entries_.back().table = true;
  return tensor;
}

Tensor Module::buffer(std::string name, Shape shape, double first_value, DType dtype) {
  const Tensor tensor = filled(shape, first_value, dtype);
  const Entry entry{std::move(name), tensor, Init::constant(first_value), false};
  add_names({entry});
  entries_.push_back(entry);
  return tensor;
}

void Module::adopt(std::string name, std::unique_ptr<Module> module, int64_t hidden) {
  check(hidden <= 0, "module: '", name, "' holds", kNotRegistered);
  std::vector<Entry> entries;
  module->collect(name.empty() ? "" : name + '.', entries);
  add_names(entries);
  remove_root(module.get());
  module->registered_ = true;
  children_.emplace_back(std::move(name), std::move(module));
}

void Module::add_names(const std::vector<Entry>& entries) {
  for (const Entry& entry : entries) {
    check(!entry.name.empty() && entry.name.back() != '.', "module: a parameter needs a name");
    check(names_.insert(entry.name).second, "module: '", entry.name,
          "' is there already; every parameter, buffer and child needs a name of its own");
  }
}

void check_members(const char* op, const Module& root, const void* object, size_t bytes) {
  const std::lock_guard lock(roots().mutex);
  const auto* end = static_cast<const char*>(object) + bytes;
  for (auto it = roots().modules.lower_bound(object); it != roots().modules.end(); ++it) {
    if (!std::less<const void*>()(*it, end)) return;
    check(*it == &root, op, ": the model has as a member", kNotRegistered);
  }
}

void Module::collect(const std::string& prefix, std::vector<Entry>& out) const {
  for (const Entry& e : entries_) {
    out.push_back(e);
    out.back().name = prefix + e.name;
  }
  for (const auto& [name, module] : children_) {
    module->collect(name.empty() ? prefix : prefix + name + '.', out);
  }
}

std::vector<Module::Entry> Module::state() const {
  std::vector<Entry> entries;
  collect("", entries);
  return entries;
}

std::vector<NamedTensor> Module::state_dict() const {
  std::vector<NamedTensor> values;
  for (const Entry& entry : state()) values.push_back({entry.name, entry.tensor.detach()});
  return values;
}

std::vector<Module::Entry> Module::named_parameters() const {
  std::vector<Entry> entries = state();
  std::erase_if(entries, [](const Entry& entry) { return !entry.trained; });
  return entries;
}

std::vector<Tensor> Module::parameters() const {
  std::vector<Tensor> tensors;
  for (Entry& entry : named_parameters()) tensors.push_back(std::move(entry.tensor));
  return tensors;
}

int64_t Module::parameter_count() const {
  int64_t count = 0;
  for (const Tensor& t : parameters()) count += t.numel();
  return count;
}

void Module::train(bool on) {
  training_ = on;
  for (const auto& [name, module] : children_) module->train(on);
}

void Module::compute_in(DType dtype) {
  check(is_float(dtype), "compute_in: ", dtype, " is no type to compute in");
  compute_ = dtype;
  for (const auto& [name, module] : children_) module->compute_in(dtype);
}

DType Module::compute_dtype(const Tensor& parameter) const {
  return compute_.value_or(parameter.dtype());
}

// Only a copy that is narrower than the parameter is worth its memory between two uses.
Tensor Module::in(const Tensor& parameter) const {
  const DType dtype = compute_dtype(parameter);
  if (dtype == parameter.dtype() && dtype == gradient_dtype(parameter)) return parameter;
  if (size_of(dtype) >= size_of(parameter.dtype())) return cast(parameter, dtype);
  const auto it = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.trained && entry.tensor.node() == parameter.node();
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
  for (const Tensor& t : parameters()) set_grad(t, {});
}

uint64_t stream_of(const std::string& name) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

std::string of_any_block(const std::string& name) {
  const std::string key = "resblocks.";
  const size_t at = name.find(key);
  if (at == std::string::npos) return name;
  const size_t begin = at + key.size();
  return name.substr(0, begin) + '*' + name.substr(name.find('.', begin));
}

}  // namespace diptych::nn
