// autograd/graph.h — the tape: nodes, recording, the backward pass.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace diptych {

using Grads = std::vector<Tensor>;  ///< one per input; undefined where not needed
using Backward =
    std::function<Grads(const Tensor& g)>;       ///< vector-Jacobian product; g is contiguous
using Hook = std::function<void(Tensor& grad)>;  ///< runs once a leaf's gradient is final

/// A recorded operation, or (with no `backward`) a leaf that collects a gradient. Edges point at
/// the producers of the inputs, not at the inputs: an activation lives only if some closure saved
/// it.
struct Node {
  explicit Node(const Tensor& value);
  ~Node();  // iterative: a chain of a million nodes must not overflow the stack

  const char* op = "leaf";
  std::vector<std::shared_ptr<Node>> inputs;  // null where an input needs no gradient
  Backward backward;
  Tensor grad;
  std::vector<Hook> hooks;
  bool leaf = false;
  bool broken = false;  // a backward pass threw on its way here

  // What a gradient must be like.
  Shape shape;
  DType dtype;
  Device device;
  bool widens = false;  // a narrower one is widened

  const uint64_t number;   // an older node has a smaller one
  static uint64_t made();  // how many there have been; the number of the next
};

/// A tensor kept for the backward pass, without its history (so that an operation may save its own
/// output). `get` throws Error if it was overwritten in the meantime.
class Saved {
 public:
  Saved() = default;  ///< nothing: `get` returns an undefined tensor
  explicit Saved(const Tensor& x) : tensor_(x.detach()), version_(x.version()) {}
  const Tensor& get() const;

 private:
  Tensor tensor_;
  uint64_t version_ = 0;
};

/// Returns a handle to y whose history is `op` on `inputs`, if any of them needs a gradient and
/// grad mode is on; else y without history. `backward` maps dL/dy to dL/dinput, and may return a
/// gradient of the broadcast shape: the engine sums it back to the shape of the input.
Tensor record(const char* op, const Tensor& y, const std::vector<Tensor>& inputs,
              Backward backward);

/// Notes that a result depends on `inputs`, for an operator that does without record() where
/// nothing is recorded: whoever runs it under first_run (autograd/recompute.h) must see its
/// parameters.
void note_inputs(const std::vector<Tensor>& inputs);

/// Adds d(sum(seed · root))/d(leaf) to `grad(leaf)` of every leaf below `root`, and frees the graph
/// on the way unless `retain`. `seed` has root's shape and defaults to ones. First order only:
/// backward itself is not recorded. Throws Error if root has no history, if the graph was freed
/// before, or if a saved value was overwritten. A pass that threw half way can be neither continued
/// nor repeated: the graph and the gradients it has touched throw from then on, the latter until
/// they are cleared.
///
/// Inside a closure it may be called for what the closure recorded itself. Such a pass adds to the
/// gradients of older nodes, which must be edges of the closure's own node, and leaves the rest to
/// the pass around it: leaves are final, and their hooks run, once.
void backward(const Tensor& root, const Tensor& seed = {}, bool retain = false);

/// Scope in which operations are recorded (true) or not (false), on this thread.
class GradMode {
 public:
  explicit GradMode(bool on);
  ~GradMode();
  GradMode(const GradMode&) = delete;
  GradMode& operator=(const GradMode&) = delete;
  static bool enabled();

 private:
  bool before_;
};

/// Scope in which nothing is recorded.
struct NoGrad : GradMode {
  NoGrad() : GradMode(false) {}
};

const Tensor& track(const Tensor& leaf);  ///< makes a leaf collect a gradient; returns it
/// A leaf that was tracked collects no gradient any more; its own is dropped.
void untrack(const Tensor& leaf);
inline bool needs_grad(const Tensor& x) { return x.node() != nullptr; }
/// The gradient collected so far; undefined before the first backward(). Throws Error unless x is a
/// leaf, or if a pass that threw left it incomplete.
const Tensor& grad(const Tensor& leaf);
/// backward() will add into `buffer`; an undefined one clears the gradient.
void set_grad(const Tensor& leaf, const Tensor& buffer);
/// leaf.set_data(data) of perhaps another dtype or device; gradients must be of that device and of
/// the dtype `gradients` from now on. Drops the gradient.
void move_leaf(const Tensor& leaf, const Tensor& data, DType gradients);
inline void move_leaf(const Tensor& leaf, const Tensor& data) {
  move_leaf(leaf, data, data.dtype());
}
/// The gradients of y, what an operator just returned, are collected in `dtype`, which is no
/// narrower than y's: sums of many products need not be rounded to it. An operator that knows no
/// better may return them in y's dtype still.
void collect_wide(const Tensor& y, DType dtype);
/// The dtype that a gradient of x must have: its own, but for leaves moved to another and what
/// collects wide.
DType gradient_dtype(const Tensor& x);
void add_hook(const Tensor& leaf, Hook);

/// While alive, collects on this thread the tracked tensors that operators get as inputs.
class InputLog {
 public:
  InputLog();
  ~InputLog();
  InputLog(const InputLog&) = delete;
  InputLog& operator=(const InputLog&) = delete;
  const std::vector<Tensor>& inputs() const { return inputs_; }

 private:
  friend void note_inputs(const std::vector<Tensor>&);
  std::vector<Tensor> inputs_;
  InputLog* before_;
};

/// While alive, shows what operators compute on this thread: each result that record() gets, and
/// each gradient that a closure returns (`backward`).
class OpWatch {
 public:
  using See = std::function<void(const char* op, const Tensor& x, bool backward)>;
  explicit OpWatch(See);
  ~OpWatch();
  OpWatch(const OpWatch&) = delete;
  OpWatch& operator=(const OpWatch&) = delete;
  /// Calls see() of the watch of this thread, if there is one.
  static void show(const char* op, const Tensor& x, bool backward);

 private:
  See see_;
  OpWatch* before_;
};

/// While alive, collects the names passed to record() on this thread: the op-table coverage test.
class OpLog {
 public:
  OpLog();
  const std::set<std::string>& names() const { return names_; }

 private:
  std::set<std::string> names_;
  OpWatch watch_;
};

}  // namespace diptych
