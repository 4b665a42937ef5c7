// clip/train/diagnosis.h — where a step went wrong.
#pragma once

#include <functional>
#include <string>

#include "clip/model.h"

namespace diptych {

/// Does a step again, which collects gradients in the model, and says what of it is not finite:
/// the first operator with such a result, the first value of the model, and the first parameter
/// with such a gradient.
/// "; the first operator with a result that is not finite: exp () f32; the gradient of …"; empty if
/// everything is finite now.
std::string diagnosis(const Clip&, const std::function<void()>& step);

}  // namespace diptych
