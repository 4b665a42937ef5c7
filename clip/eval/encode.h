// clip/eval/encode.h — features of texts and pictures.
#pragma once

#include <string>
#include <vector>

#include "clip/model.h"
#include "data/text/tokenizer.h"

namespace diptych {

/// Features of texts, in batches: (N, E), not normalised. Throws Error if one is longer than the
/// context, unless `overflow` allows to cut it.
Tensor encode_texts(const Clip&, const Tokenizer&, const std::vector<std::string>& texts,
                    Overflow overflow = Overflow::error);
/// Throws Error, naming the row, if rows (N, …) contain NaN or infinity: "pixels: picture 2 …".
void check_finite(const Tensor& rows, const std::string& what = "pixels: picture");
/// Features of pictures, in batches: (N, E), not normalised. Throws Error, naming the picture, on
/// NaN or infinity.
Tensor encode_pixels(const Clip&, const Tensor& pixels);

}  // namespace diptych
