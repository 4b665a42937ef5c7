// nn/optim.h — what all optimizers share: parameters, moments, clipping, checkpoints.
#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "nn/module.h"
#include "nn/moment.h"

namespace diptych::nn {

/// Each optimizer uses those it has.
struct OptimizerConfig {
  double beta1 = 0.9, beta2 = 0.98,
         eps = 1e-6;  ///< CLIP's for ViT (Radford et al., 2021, table 19)
  double weight_decay = 0.2;
  double momentum = 0.9;      ///< of SGD
  bool half_moments = false;  ///< in f16: see Moment. Of AdamW alone
  bool stochastic = true;     ///< how parameters of 16 bits are rounded; else to nearest
  uint64_t seed = 0;          ///< of that
};

/// A module with the bytes of its object, among which members that nobody registered would lie.
struct Trained {
  template <std::derived_from<Module> M>
  Trained(const M& m) : module(m), object(&m), bytes(sizeof(M)) {}  // NOLINT: on purpose implicit
  const Module& module;
  const void* object;
  size_t bytes;
};

/// Brings the parameters of a module that are not locked down the gradient. Tensors of two or more
/// axes are decayed; gains, biases, the class embedding and the temperature are not: open_clip's
/// original rule. To add one: derive from RuleOptimizer (nn/optimizers.h).
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// One step with the gradients collected so far, those of `loss_scale` times the loss, whose
  /// grad_squares() are `squares`. They are scaled down to a norm of at most `max_norm`; 0 leaves
  /// them as they are. A parameter without a gradient is left alone. If `squares` is not finite all
  /// are, in this step and in every one after it: whoever reads that number later finds the
  /// parameters as they were before.
  void step(double lr, const Tensor& squares, double max_norm = 0, double loss_scale = 1);
  /// The last step was not finite, and shall be as if it had not been asked for: steps are taken
  /// again.
  void forget_step();

  /// The rate of a parameter is `rate(name)` times that of the step, its decay likewise; 1 at
  /// first.
  void set_rates(const std::function<double(const std::string& name)>& rate);

  /// How many second moments became 0 in the last step because f16 knows nothing smaller: f64 ().
  const Tensor& vanished() const { return vanished_; }
  /// How many are kept in f16.
  int64_t half_moments() const;

  static bool decays(const Tensor& parameter) { return parameter.rank() >= 2; }
  /// How many tensors and elements are decayed, how many are not, and with `names` which, on two
  /// lines then.
  std::string groups(bool names = true) const;

  /// Moments as "m.<name>", with their scales as "m_scale.<name>" if they are f16; with steps() all
  /// there is to save.
  std::vector<NamedTensor> state() const;
  int64_t steps() const { return t_; }
  /// Steps are taken again after one that was not finite. Moments kept otherwise here than there
  /// are converted. Throws Error if one is missing or has the wrong shape.
  void load_state(const std::vector<NamedTensor>&, int64_t steps);

 protected:
  struct Slot {
    std::string name;
    Tensor parameter;
    std::vector<Moment> moments;  ///< one for each of the optimizer's names
    Bounds bounds;
    std::shared_ptr<NarrowCopy> copy;
    double rate = 1;
  };
  /// What a step is told, and which it is.
  struct Step {
    double lr, max_norm, loss_scale;
    int64_t t;  ///< 1, 2, …
  };

  /// Throws Error, naming `who`, if the module has no parameters, or none that is not locked, if
  /// one has no finite values (initialize() or load_state() come first), or if a member is a module
  /// that child() did not make.
  Optimizer(const char* who, const Trained&, const OptimizerConfig&,
            std::vector<std::string> moments);
  /// Updates slots with gradients, at least one; takes no step if `squares` is not finite.
  virtual void update(const Step&, const Tensor& squares, const std::vector<Slot*>& slots) = 0;

  const OptimizerConfig config_;
  Tensor vanished_;

 private:
  std::vector<std::string> moments_;
  std::vector<Slot> slots_;
  Tensor fault_;  // f64 (): 0, or NaN from the first sum of squares on that is not finite
  int64_t t_ = 0;
};

/// Σ g² over the gradients of all parameters, f64 () beside them: not finite if any is not.
Tensor grad_squares(const Module&);
/// √ of that, as a number.
double grad_norm(const Module&);

}  // namespace diptych::nn
