// autograd/graph.cpp — recording: nodes, edges, leaves.
#include "autograd/graph.h"

#include <algorithm>
#include <atomic>
#include <utility>

namespace diptych {
namespace {

thread_local bool grad_enabled = true;
thread_local InputLog* input_log = nullptr;
thread_local OpWatch* op_watch = nullptr;

std::atomic<uint64_t> nodes_made{0};

Node& leaf_node(const char* op, const Tensor& x) {
  check(needs_grad(x) && x.node()->leaf, op,
        ": the tensor is not a tracked leaf; call track() on it first");
  return *x.node();
}

}  // namespace

Node::Node(const Tensor& value)
    : shape(value.shape()),
      dtype(value.dtype()),
      device(value.device()),
      number(nodes_made.fetch_add(1, std::memory_order_relaxed)) {}

uint64_t Node::made() { return nodes_made.load(std::memory_order_relaxed); }

Node::~Node() {
  std::vector<std::shared_ptr<Node>> doomed = std::move(inputs);
  while (!doomed.empty()) {
    const std::shared_ptr<Node> node = std::move(doomed.back());
    doomed.pop_back();
    if (node.use_count() != 1) continue;
    for (auto& input : node->inputs) {
      if (input) doomed.push_back(std::move(input));
    }
    node->inputs.clear();
  }
}

void note_inputs(const std::vector<Tensor>& inputs) {
  if (!input_log) return;
  std::vector<Tensor>& seen = input_log->inputs_;
  for (const Tensor& x : inputs) {
    if (!x.defined() || !needs_grad(x)) continue;
    const auto same = [&x](const Tensor& y) { return x.node() == y.node(); };
    if (std::none_of(seen.begin(), seen.end(), same)) seen.push_back(x);
  }
}

Tensor record(const char* op, const Tensor& y, const std::vector<Tensor>& inputs,
              Backward backward) {
  OpWatch::show(op, y, false);
  note_inputs(inputs);
  bool needed = false;
  for (const Tensor& x : inputs) needed |= x.defined() && needs_grad(x);
  Tensor out = y.detach();
  if (!needed || !grad_enabled) return out;

  auto node = std::make_shared<Node>(y);
  node->op = op;
  for (const Tensor& x : inputs) node->inputs.push_back(x.defined() ? x.node() : nullptr);
  node->backward = std::move(backward);
  out.set_node(std::move(node));
  return out;
}

GradMode::GradMode(bool on) : before_(std::exchange(grad_enabled, on)) {}
GradMode::~GradMode() { grad_enabled = before_; }
bool GradMode::enabled() { return grad_enabled; }

const Tensor& track(const Tensor& leaf) {
  check(!needs_grad(leaf) || leaf.node()->leaf,
        "track: the result of an operation is not a leaf; detach() it");
  check(is_float(leaf.dtype()), "track: only floating-point tensors have gradients, got ",
        leaf.dtype());
  if (needs_grad(leaf)) return leaf;
  auto node = std::make_shared<Node>(leaf);
  node->leaf = true;
  leaf.set_node(std::move(node));
  return leaf;
}

void untrack(const Tensor& leaf) {
  leaf_node("untrack", leaf);
  leaf.set_node(nullptr);
}

const Tensor& grad(const Tensor& leaf) {
  const Node& node = leaf_node("grad", leaf);
  check(!node.broken,
        "grad: a backward pass that threw left this gradient incomplete; clear it with zero_grad() "
        "or set_grad(leaf, {}) and begin again");
  return node.grad;
}

void set_grad(const Tensor& leaf, const Tensor& buffer) {
  Node& node = leaf_node("set_grad", leaf);
  check(!buffer.defined() || (buffer.shape() == leaf.shape() && buffer.dtype() == node.dtype &&
                              buffer.device() == leaf.device() && buffer.is_contiguous()),
        "set_grad: the buffer must be contiguous and like the gradient, ", node.dtype, ' ',
        leaf.shape(), " on ", leaf.device());
  node.grad = buffer;
  node.broken = false;
}

void move_leaf(const Tensor& leaf, const Tensor& data, DType gradients) {
  Node& node = leaf_node("move_leaf", leaf);
  check(is_float(data.dtype()) && is_float(gradients),
        "move_leaf: only floating-point tensors have gradients, got ", data.dtype());
  Tensor(leaf).set_data(data);  // every handle sees it
  node.dtype = gradients;
  node.device = data.device();
  set_grad(leaf, {});
}

void collect_wide(const Tensor& y, DType dtype) {
  if (!needs_grad(y)) return;
  check(is_float(dtype) && size_of(dtype) >= size_of(y.dtype()), "collect_wide: ", dtype,
        " is narrower than ", y.dtype());
  y.node()->dtype = dtype;
  y.node()->widens = true;
}

DType gradient_dtype(const Tensor& x) { return needs_grad(x) ? x.node()->dtype : x.dtype(); }

void add_hook(const Tensor& leaf, Hook hook) {
  leaf_node("add_hook", leaf).hooks.push_back(std::move(hook));
}

InputLog::InputLog() : before_(std::exchange(input_log, this)) {}
InputLog::~InputLog() { input_log = before_; }

OpWatch::OpWatch(See see) : see_(std::move(see)), before_(std::exchange(op_watch, this)) {}
OpWatch::~OpWatch() { op_watch = before_; }

void OpWatch::show(const char* op, const Tensor& x, bool backward) {
  if (op_watch && x.defined()) op_watch->see_(op, x, backward);
}

OpLog::OpLog()
    : watch_([this](const char* op, const Tensor&, bool backward) {
        if (!backward) names_.insert(op);
      }) {}

}  // namespace diptych
