// nn/module.cpp — what a module owns: registering it, naming it, listing it.
#include "nn/module.h"

#include <functional>
#include <limits>
#include <mutex>
#include <set>

#include "autograd/graph.h"
#include "tensor/factory.h"

namespace diptych::nn {
namespace {

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

void Module::lock(bool on) {
  locked_ = on;
  for (const Entry& entry : entries_) {
    if (!entry.trained || needs_grad(entry.tensor) != on) continue;
    on ? untrack(entry.tensor) : static_cast<void>(track(entry.tensor));
  }
  for (const auto& [name, module] : children_) module->lock(on);
}

std::string of_any_block(const std::string& name) {
  const std::string key = "resblocks.";
  const size_t at = name.find(key);
  if (at == std::string::npos) return name;
  const size_t begin = at + key.size();
  return name.substr(0, begin) + '*' + name.substr(name.find('.', begin));
}

}  // namespace diptych::nn
