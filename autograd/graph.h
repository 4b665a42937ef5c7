// autograd/graph.h — the tape: nodes, recording, the backward pass.
#pragma once

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
  const char* op = "leaf";
  std::vector<std::shared_ptr<Node>> inputs;  // null where an input needs no gradient
  Backward backward;
  Shape shape;
  Tensor grad;
  std::vector<Hook> hooks;
  bool leaf = false;

  ~Node();  // iterative: a chain of a million nodes must not overflow the stack
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

/// Adds d(sum(seed · root))/d(leaf) to `grad(leaf)` of every leaf below `root`, and frees the graph
/// on the way unless `retain`. `seed` has root's shape and defaults to ones. First order only:
/// backward itself is not recorded. Throws Error if root has no history, if the graph was freed
/// before, or if a saved value was overwritten.
void backward(const Tensor& root, const Tensor& seed = {}, bool retain = false);

/// y = f(x), keeping x alone and running f again during backward (Chen et al., "Training deep nets
/// with sublinear memory cost", 2016). Parameters used inside f get their gradients as usual.
/// Always recorded, since f may hold parameters even where x needs no gradient. A parameter may
/// live in one checkpointed block only: the block's backward pass takes its gradient for final, so
/// in two its hooks would run twice.
Tensor checkpoint(const std::function<Tensor(const Tensor&)>& f, const Tensor& x);
/// True while checkpoint runs f for the second time: running statistics must not be updated again.
bool recomputing();

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
inline bool needs_grad(const Tensor& x) { return x.node() != nullptr; }
/// The gradient collected so far; undefined before the first backward(). Throws Error unless x is a
/// leaf.
const Tensor& grad(const Tensor& leaf);
/// backward() will add into `buffer`; an undefined one clears the gradient.
void set_grad(const Tensor& leaf, const Tensor& buffer);
void add_hook(const Tensor& leaf, Hook);

/// While alive, collects the names passed to record() on this thread: the op-table coverage test.
class OpLog {
 public:
  OpLog();
  ~OpLog();
  OpLog(const OpLog&) = delete;
  OpLog& operator=(const OpLog&) = delete;
  const std::set<std::string>& names() const { return names_; }

 private:
  friend Tensor record(const char*, const Tensor&, const std::vector<Tensor>&, Backward);
  std::set<std::string> names_;
  OpLog* before_;
};

}  // namespace diptych
