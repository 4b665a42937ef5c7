// data/image/resample.h — weighted sums of neighbouring pixels: the inner part of resize().
#pragma once

#include <cstdint>
#include <vector>

#include "data/image/picture.h"

namespace diptych {

/// Keys' interpolation kernel (1981) with a = -1/2, as Pillow and anti-aliased PyTorch have it;
/// zero from |t| = 2 on.
double keys_cubic(double t);

/// A window of the new_width × new_height version of a width × height picture.
struct Scaling {
  int64_t width, height;
  int64_t new_width, new_height;
  Box window;
};

/// Every band by itself: bicubic, a = -1/2, the support widened when shrinking. x (height, width,
/// bands) → (window.height, window.width, bands), 1 ≤ bands ≤ 4.
std::vector<uint8_t> resample(const std::vector<uint8_t>& x, int64_t bands, const Scaling&);
/// The same for one wide band.
std::vector<int32_t> resample(const std::vector<int32_t>& x, const Scaling&);

}  // namespace diptych
