// autograd/recompute.h — values that are computed again instead of kept.
#pragma once

#include <functional>
#include <vector>

#include "autograd/graph.h"

namespace diptych {

/// y = f(x), keeping x alone and running f again during backward (Chen et al., "Training deep nets
/// with sublinear memory cost", 2016). f must do the same both times; parameters used inside it get
/// their gradients, and run their hooks, as usual.
Tensor checkpoint(const std::function<Tensor(const Tensor&)>& f, const Tensor& x);

/// Scope of a second run of what has run before: running statistics must not be updated again.
class Recompute {
 public:
  Recompute();
  ~Recompute();
  Recompute(const Recompute&) = delete;
  Recompute& operator=(const Recompute&) = delete;

 private:
  bool before_;
};
bool recomputing();  ///< true inside a Recompute scope of this thread

/// For an operator that keeps x instead of f(x): f(x) without a history, and the tracked tensors
/// from outside that f used. They are inputs of the operator like its others: they go to record().
struct FirstRun {
  FirstRun(const char* op, const std::function<Tensor(const Tensor&)>& f, const Tensor& x);
  Tensor y;
  std::vector<Tensor> used;
};

/// The second run, in the operator's closure. Gradients of what f used are added where they belong;
/// the closure returns none for them.
class SecondRun {
 public:
  SecondRun(const std::function<Tensor(const Tensor&)>& f, const Tensor& x);
  Tensor y() const { return y_.detach(); }
  Tensor backward(const Tensor& g) const;  ///< dL/dx from dL/dy

 private:
  Recompute recompute_;
  Tensor x_, y_;
};

}  // namespace diptych
