// data/image/resample.h — weighted sums of neighbouring pixels: the inner part of resize().
#pragma once

#include <cstdint>
#include <vector>

#include "data/image/picture.h"

namespace diptych {

/// The weight of an input at distance t from an output, and where it ends: zero from |t| ≥ support
/// on.
struct Filter {
  double (*weight)(double t);
  double support;
};
/// Of every interpolation but nearest, as Pillow and anti-aliased PyTorch have them.
Filter filter_of(Interpolation);

/// A window of the new_width × new_height version of a width × height picture.
struct Scaling {
  int64_t width, height;
  int64_t new_width, new_height;
  Box window;
};

/// Every band by itself, the support widened when shrinking. x (height, width, bands) →
/// (window.height, window.width, bands), 1 ≤ bands ≤ 4.
std::vector<uint8_t> resample(const std::vector<uint8_t>& x, int64_t bands, const Scaling&,
                              const Filter&);
/// The same for one wide band.
std::vector<int32_t> resample(const std::vector<int32_t>& x, const Scaling&, const Filter&);

}  // namespace diptych
