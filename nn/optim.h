// nn/optim.h — AdamW with parameter groups, and the global gradient norm.
#pragma once

#include <concepts>
#include <string>
#include <utility>
#include <vector>

#include "nn/module.h"
#include "nn/moment.h"

namespace diptych {
struct AdamWSlot;
}

namespace diptych::nn {

struct AdamWConfig {
  double beta1 = 0.9, beta2 = 0.98,
         eps = 1e-6;  ///< CLIP's for ViT (Radford et al., 2021, table 19)
  double weight_decay = 0.2;
  bool half_moments = false;  ///< both in f16: see Moment
  bool stochastic = true;     ///< how parameters of 16 bits are rounded; else to nearest
  uint64_t seed = 0;          ///< of that
};

/// Adam with decoupled weight decay (Loshchilov and Hutter, 2019) on all weights that are not gains
/// or biases: tensors of two or more axes are decayed; gains, biases, the class embedding and the
/// temperature are not. That is open_clip's original rule; embeddings and projections are decayed.
class AdamW {
 public:
  /// Throws Error if the module has no parameters, if one has no finite values (initialize() or
  /// load_state() come first), or if M has a module as a member that child() did not make.
  template <std::derived_from<Module> M>
  AdamW(const M& module, const AdamWConfig& config)
      : AdamW(module, config, static_cast<const void*>(&module), sizeof(M)) {}

  /// One step with the gradients collected so far, those of `loss_scale` times the loss, whose
  /// grad_squares() are `squares`. They are scaled down to a norm of at most `max_norm`; 0 leaves
  /// them as they are. A parameter without a gradient is left alone. If `squares` is not finite all
  /// are, in this step and in every one after it: whoever reads that number later finds the
  /// parameters as they were before. Reads nothing back from a device.
  void step(double lr, const Tensor& squares, double max_norm = 0, double loss_scale = 1);
  /// The last step was not finite, and shall be as if it had not been asked for: steps are taken
  /// again.
  void forget_step();

  /// How many second moments became 0 in the last step because f16 knows nothing smaller: f64 ().
  const Tensor& vanished() const { return vanished_; }
  /// How many are kept in f16.
  int64_t half_moments() const;

  static bool decays(const Tensor& parameter) { return parameter.rank() >= 2; }
  /// Two lines: how many tensors and elements are decayed and how many are not, and which.
  std::string groups() const;

  /// First and second moments as "m.<name>", "v.<name>", with scales as "m_scale.<name>",
  /// "v_scale.<name>" if they are f16; with steps() all there is to save.
  std::vector<NamedTensor> state() const;
  int64_t steps() const { return t_; }
  /// Steps are taken again after one that was not finite. Moments kept otherwise here than there
  /// are converted. Throws Error if one is missing or has the wrong shape.
  void load_state(const std::vector<NamedTensor>&, int64_t steps);

 private:
  AdamW(const Module&, const AdamWConfig&, const void* object, size_t bytes);

  struct Slot {
    std::string name;
    Tensor parameter;
    Moment m, v;
    Bounds bounds;
    std::shared_ptr<NarrowCopy> copy;
  };
  AdamWSlot arrays(const Slot&) const;
  AdamWConfig config_;
  std::vector<Slot> slots_;
  Tensor vanished_;
  Tensor fault_;  // f64 (): 0, or NaN from the first sum of squares on that is not finite
  int64_t t_ = 0;
};

/// Σ g² over the gradients of all parameters, f64 () beside them: not finite if any is not.
Tensor grad_squares(const Module&);
/// √ of that, as a number.
double grad_norm(const Module&);

}  // namespace diptych::nn
