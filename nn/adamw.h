// nn/adamw.h — AdamW in one pass over everything.
#pragma once

#include "nn/optim.h"

namespace diptych {
struct AdamWSlot;
}

namespace diptych::nn {

/// Adam with decoupled weight decay (Loshchilov and Hutter, 2019), which CLIP was trained with: the
/// formula is at AdamWStep in tensor/kernels.h. The only optimizer that keeps f16 moments and
/// writes the copies that products read in its own pass. Reads nothing back from a device.
class AdamW : public Optimizer {
 public:
  AdamW(const Trained& module, const OptimizerConfig& config)
      : Optimizer("AdamW", module, config, {"m", "v"}) {}

 protected:
  void update(const Step&, const Tensor& squares, const std::vector<Slot*>&) override;

 private:
  static AdamWSlot arrays(const Slot&);
};

}  // namespace diptych::nn
