// tensor/cpu/optim.h — AdamW where something is kept in 16 bits.
#pragma once

#include "tensor/adamw.h"

namespace diptych::cpu {

/// The step of slots that are not plain; `scale` as of AdamWStep. Returns how many second moments
/// vanished.
int64_t step_narrow(const AdamWStep& step, float scale, const std::vector<AdamWSlot>& slots);

}  // namespace diptych::cpu
