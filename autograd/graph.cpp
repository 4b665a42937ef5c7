// autograd/graph.cpp — the engine. No recursion anywhere: depth is data, not stack.
#include "autograd/graph.h"

#include <unordered_map>
#include <utility>

#include "tensor/factory.h"
#include "tensor/kernels.h"

namespace diptych {
namespace {

thread_local bool grad_enabled = true;
thread_local bool in_recomputation = false;
thread_local const char* running_op = "backward";  // whose closure runs now, for messages
thread_local OpLog* op_log = nullptr;

// The adjoint of broadcasting: sums g over the axes that were added or repeated. By value, so that
// a gradient of the right shape passes through without a second owner.
Tensor sum_to(Tensor g, const Shape& shape) {
  if (g.shape() == shape) return g;
  const int lead = g.rank() - shape.rank();
  bool fits = lead >= 0;
  for (int i = 0; fits && i < shape.rank(); ++i) {
    fits = shape[i] == g.shape()[i + lead] || shape[i] == 1;
  }
  check(fits, running_op, ": returned a gradient of shape ", g.shape(), " for an input of shape ",
        shape);

  Tensor sum = g.contiguous();
  Shape summed = g.shape();
  for (int i = 0; i < g.rank(); ++i) {
    const bool keep = i >= lead && shape[i - lead] == summed[i];
    if (keep) continue;
    const Shape split = split_at(summed, i);
    Tensor next = empty({split[0], split[2]}, g.dtype(), g.device());
    kernel::reduce(g.device(), Reduce::sum, sum.view(split), next);
    sum = next;
    summed[i] = 1;
  }
  return sum.view(shape);
}

void add_into(const Tensor& x, Tensor y) {
  check(x.dtype() == y.dtype() && x.device() == y.device(), running_op, ": its gradient, ",
        x.dtype(), " on ", x.device(), ", meets another that is ", y.dtype(), " on ", y.device());
  kernel::axpy(y.device(), 1, x.contiguous(), y);
}

// A leaf owns its buffer from the first gradient on. An interior node borrows the first one it is
// given; when a second arrives it sums into whichever of the two nobody else can see, or else into
// fresh memory.
void accumulate(Node& node, Tensor g) {
  if (!node.grad.defined()) {
    const bool keep = !node.leaf || (g.sole_owner() && g.is_contiguous());
    node.grad = keep ? std::move(g) : g.clone();
  } else if (node.leaf || (node.grad.sole_owner() && node.grad.is_contiguous())) {
    add_into(g, node.grad);
    node.grad.bump_version();
  } else if (g.sole_owner() && g.is_contiguous()) {
    add_into(std::exchange(node.grad, {}), g);
    node.grad = std::move(g);
  } else {
    Tensor sum = node.grad.clone();
    add_into(g, sum);
    node.grad = sum;
  }
}

using Counts = std::unordered_map<const Node*, int64_t>;

// How many edges below `root` lead into each node.
Counts count_consumers(const std::shared_ptr<Node>& root) {
  Counts consumers{{root.get(), 0}};
  std::vector<const Node*> stack{root.get()};
  while (!stack.empty()) {
    const Node* node = stack.back();
    stack.pop_back();
    for (const auto& input : node->inputs) {
      if (input && consumers[input.get()]++ == 0) stack.push_back(input.get());
    }
  }
  return consumers;
}

Grads run_closure(Node& node) {
  check(node.backward != nullptr, node.op,
        ": backward ran through this graph before and freed it; "
        "pass retain = true the first time to keep it");
  running_op = node.op;
  Grads grads = node.backward(std::exchange(node.grad, {}).contiguous());
  check(grads.size() == node.inputs.size(), node.op, ": backward returned ", grads.size(),
        " gradients for ", node.inputs.size(), " inputs");
  return grads;
}

struct Recomputation {
  Recomputation() : before(std::exchange(in_recomputation, true)) {}
  ~Recomputation() { in_recomputation = before; }
  bool before;
};

void finish_leaf(Node& leaf) {
  if (!leaf.grad.defined()) return;
  for (const Hook& hook : leaf.hooks) hook(leaf.grad);
}

Node& leaf_node(const char* op, const Tensor& x) {
  check(needs_grad(x) && x.node()->leaf, op,
        ": the tensor is not a tracked leaf; call track() on it first");
  return *x.node();
}

}  // namespace

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

const Tensor& Saved::get() const {
  check(!tensor_.defined() || tensor_.version() == version_, running_op,
        ": a value saved for the gradient was overwritten in place (saved at version ", version_,
        ", now at ", tensor_.defined() ? tensor_.version() : 0, "); clone() it before writing");
  return tensor_;
}

Tensor record(const char* op, const Tensor& y, const std::vector<Tensor>& inputs,
              Backward backward) {
  if (op_log) op_log->names_.insert(op);
  bool needed = false;
  for (const Tensor& x : inputs) needed |= x.defined() && needs_grad(x);
  Tensor out = y.detach();
  if (!needed || !grad_enabled) return out;

  auto node = std::make_shared<Node>();
  node->op = op;
  for (const Tensor& x : inputs) node->inputs.push_back(x.defined() ? x.node() : nullptr);
  node->backward = std::move(backward);
  node->shape = y.shape();
  out.set_node(std::move(node));
  return out;
}

void backward(const Tensor& root, const Tensor& seed, bool retain) {
  check(root.defined() && needs_grad(root),
        "backward: the result does not depend on any tracked tensor");
  check(!seed.defined() || seed.shape() == root.shape(), "backward: seed ",
        seed.defined() ? seed.shape() : Shape{}, " must have the shape of the result, ",
        root.shape());
  check(!seed.defined() || (seed.dtype() == root.dtype() && seed.device() == root.device()),
        "backward: the seed must have the dtype and device of the result, ", root.dtype(), " on ",
        root.device());
  const NoGrad no_grad;
  Counts consumers = count_consumers(root.node());
  std::vector<std::shared_ptr<Node>> ready;
  const auto complete = [&ready](const std::shared_ptr<Node>& node) {
    node->leaf ? finish_leaf(*node) : ready.push_back(node);
  };
  accumulate(*root.node(),
             seed.defined() ? seed : full(root.shape(), 1, root.dtype(), root.device()));
  complete(root.node());

  while (!ready.empty()) {
    const std::shared_ptr<Node> node = std::move(ready.back());
    ready.pop_back();
    const bool reached = node->grad.defined();  // false if every consumer returned nothing
    Grads grads = reached ? run_closure(*node) : Grads(node->inputs.size());
    if (!retain) node->backward = nullptr;
    for (size_t i = 0; i < grads.size(); ++i) {
      const auto& input = node->inputs[i];
      if (!input) continue;
      if (grads[i].defined()) accumulate(*input, sum_to(std::exchange(grads[i], {}), input->shape));
      if (--consumers[input.get()] == 0) complete(input);
    }
  }
}

Tensor checkpoint(const std::function<Tensor(const Tensor&)>& f, const Tensor& x) {
  Tensor y;
  {
    const NoGrad no_grad;
    y = f(x.detach());
  }
  // An input that needs no gradient is replaced by a leaf nobody asks about, so that the block is
  // recorded.
  const Tensor input = needs_grad(x) ? x : track(x.detach());
  return record("checkpoint", y, {input}, [f, x = Saved(x)](const Tensor& g) -> Grads {
    const Tensor leaf = track(x.get().detach());
    {
      const GradMode grad_mode(true);
      const Recomputation recomputation;
      const Tensor again = f(leaf);
      if (needs_grad(again)) backward(again, g);
    }
    return {grad(leaf)};
  });
}

bool recomputing() { return in_recomputation; }

GradMode::GradMode(bool on) : before_(std::exchange(grad_enabled, on)) {}
GradMode::~GradMode() { grad_enabled = before_; }
bool GradMode::enabled() { return grad_enabled; }

const Tensor& track(const Tensor& leaf) {
  check(!needs_grad(leaf) || leaf.node()->leaf,
        "track: the result of an operation is not a leaf; detach() it");
  check(is_float(leaf.dtype()), "track: only floating-point tensors have gradients, got ",
        leaf.dtype());
  if (needs_grad(leaf)) return leaf;
  auto node = std::make_shared<Node>();
  node->shape = leaf.shape();
  node->leaf = true;
  leaf.set_node(std::move(node));
  return leaf;
}

const Tensor& grad(const Tensor& leaf) { return leaf_node("grad", leaf).grad; }

void set_grad(const Tensor& leaf, const Tensor& buffer) {
  Node& node = leaf_node("set_grad", leaf);
  check(!buffer.defined() || (buffer.shape() == leaf.shape() && buffer.dtype() == leaf.dtype() &&
                              buffer.device() == leaf.device() && buffer.is_contiguous()),
        "set_grad: the buffer must be contiguous and like the leaf, ", leaf.dtype(), ' ',
        leaf.shape(), " on ", leaf.device());
  node.grad = buffer;
}

void add_hook(const Tensor& leaf, Hook hook) {
  leaf_node("add_hook", leaf).hooks.push_back(std::move(hook));
}

OpLog::OpLog() : before_(std::exchange(op_log, this)) {}
OpLog::~OpLog() { op_log = before_; }

}  // namespace diptych
