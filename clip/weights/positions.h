// clip/weights/positions.h — learned positions at another resolution.
#pragma once

#include "tensor/tensor.h"

namespace diptych {

/// Positions (1 + g², D) of a square grid with one token in front → (1 + side², D): that token
/// unchanged, the grid resized by anti-aliased bicubic interpolation (a = -1/2, pixel centres at
/// halves), as open_clip's resize_pos_embed. Throws Error if the rows are not a square plus one.
Tensor resize_positions(const Tensor& positions, int64_t side);

}  // namespace diptych
