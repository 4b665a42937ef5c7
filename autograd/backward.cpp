// autograd/backward.cpp — the backward pass. No recursion anywhere: depth is data, not stack.
#include <algorithm>
#include <unordered_map>
#include <utility>

#include "autograd/graph.h"
#include "tensor/factory.h"
#include "tensor/kernels.h"

namespace diptych {
namespace {

// The closure that runs now on this thread. Nodes recorded before it began lie outside of a pass
// that it starts itself.
struct Running {
  explicit Running(const Node& n) : node(&n), before(now) { now = this; }
  ~Running() { now = before; }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  const Node* node;
  uint64_t begin = Node::made();
  Running* before;
  static thread_local Running* now;
};
thread_local Running* Running::now = nullptr;

const char* running_op() { return Running::now ? Running::now->node->op : "backward"; }

// The adjoint of broadcasting: sums g over the axes that were added or repeated. By value, so that
// a gradient of the right shape passes through without a second owner.
Tensor sum_to(Tensor g, const Shape& shape) {
  if (g.shape() == shape) return g;
  const int lead = g.rank() - shape.rank();
  bool fits = lead >= 0;
  for (int i = 0; fits && i < shape.rank(); ++i) {
    fits = shape[i] == g.shape()[i + lead] || shape[i] == 1;
  }
  check(fits, running_op(), ": returned a gradient of shape ", g.shape(), " for an input of shape ",
        shape);
  if (g.numel() == 0) return zeros(shape, g.dtype(), g.device());  // partial sums might be large

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

// Mixed precision is where a gradient of another dtype comes from: it would be added bit by bit.
Tensor as_collected(Tensor g, const Node& node) {
  if (node.widens && size_of(g.dtype()) < size_of(node.dtype)) g = g.to(node.dtype);
  check(g.dtype() == node.dtype && g.device() == node.device, running_op(),
        ": returned a gradient that is ", g.dtype(), " on ", g.device(), " for an input that is ",
        node.dtype, " on ", node.device);
  return g;
}

void add_into(const Tensor& x, Tensor y) { kernel::axpy(y.device(), 1, x.contiguous(), y); }

// A leaf owns its buffer from the first gradient on. An interior node borrows the first one it is
// given; when a second arrives it sums into whichever of the two nobody else can see, or else into
// fresh memory.
void accumulate(Node& node, Tensor grad) {
  Tensor g = as_collected(std::move(grad), node);
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

// One walk from a root to the leaves below it.
class Pass {
 public:
  Pass(const std::shared_ptr<Node>& root, bool retain) : root_(root), retain_(retain) {
    count_consumers();
  }

  void run(const Tensor& seed) {
    try {
      arrive(root_, seed);
      complete(root_);
      while (!ready_.empty()) {
        const std::shared_ptr<Node> node = std::move(ready_.back());
        ready_.pop_back();
        differentiate(*node);
      }
    } catch (...) {
      break_off();
      throw;
    }
  }

 private:
  // Recorded before the closure that started this pass: the pass around it finishes such a node.
  bool outside(const Node& node) const { return around_ && node.number < around_->begin; }

  // How many edges below the root lead into each node.
  void count_consumers() {
    consumers_[root_.get()] = 0;
    std::vector<Node*> stack{root_.get()};
    while (!stack.empty()) {
      Node* node = stack.back();
      stack.pop_back();
      check(!node->broken, node->op, node->leaf ? kClearFirst : kRecordAgain);
      if (outside(*node)) continue;
      for (const auto& input : node->inputs) {
        if (input && consumers_[input.get()]++ == 0) stack.push_back(input.get());
      }
    }
  }

  void differentiate(Node& node) {
    const bool reached = node.grad.defined();  // false if every consumer returned nothing
    const Running running(node);
    Grads grads = reached ? run_closure(node) : Grads(node.inputs.size());
    if (!retain_) node.backward = nullptr;
    for (size_t i = 0; i < grads.size(); ++i) {
      const auto& input = node.inputs[i];
      if (!input) continue;
      if (grads[i].defined()) arrive(input, sum_to(std::exchange(grads[i], {}), input->shape));
      if (--consumers_[input.get()] == 0) complete(input);
    }
  }

  // Their gradients change from here on, perhaps by a pass that the closure starts.
  void note_leaves(const Node& node) {
    for (const auto& input : node.inputs)
      if (input && input->leaf) written_.push_back(input.get());
  }

  Grads run_closure(Node& node) {
    check(node.backward != nullptr, node.op,
          ": backward ran through this graph before and freed it; "
          "pass retain = true the first time to keep it");
    note_leaves(node);
    Grads grads = node.backward(std::exchange(node.grad, {}).contiguous());
    check(grads.size() == node.inputs.size(), node.op, ": backward returned ", grads.size(),
          " gradients for ", node.inputs.size(), " inputs");
    for (const Tensor& grad : grads) OpWatch::show(node.op, grad, true);
    return grads;
  }

  void arrive(const std::shared_ptr<Node>& node, Tensor g) {
    if (outside(*node)) {
      const auto& edges = around_->node->inputs;
      check(std::find(edges.begin(), edges.end(), node) != edges.end(), around_->node->op,
            ": its backward pass reaches a tensor that is none of its inputs; a function that is "
            "run again must do the same both times");
    }
    accumulate(*node, std::move(g));
  }

  void complete(const std::shared_ptr<Node>& node) {
    if (outside(*node)) return;
    if (!node->leaf) return ready_.push_back(node);
    if (!node->grad.defined()) return;
    for (const Hook& hook : node->hooks) hook(node->grad);
  }

  // What was summed up so far is part of a gradient and must not be taken for one.
  void break_off() {
    for (const auto& [node, count] : consumers_) {
      if (node->leaf || outside(*node)) continue;
      node->broken = true;
      node->grad = {};
    }
    for (Node* leaf : written_) leaf->broken = leaf->grad.defined();
  }

  static constexpr const char* kRecordAgain =
      ": an earlier backward pass through this graph threw; compute the result again";
  static constexpr const char* kClearFirst =
      ": a backward pass that threw left its gradient incomplete; clear it with zero_grad() or "
      "set_grad(leaf, {})";

  const Running* around_ = Running::now;
  std::shared_ptr<Node> root_;
  bool retain_;
  std::unordered_map<Node*, int64_t> consumers_;
  std::vector<std::shared_ptr<Node>> ready_;
  std::vector<Node*> written_;  // leaves, alive as edges of nodes below the root
};

}  // namespace

const Tensor& Saved::get() const {
  check(!tensor_.defined() || tensor_.version() == version_, running_op(),
        ": a value saved for the gradient was overwritten in place (saved at version ", version_,
        ", now at ", tensor_.defined() ? tensor_.version() : 0, "); clone() it before writing");
  return tensor_;
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
  Pass pass(root.node(), retain);
  pass.run(seed.defined() ? seed : full(root.shape(), 1, root.dtype(), root.device()));
}

}  // namespace diptych
