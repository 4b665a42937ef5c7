// data/picture_set.h — pictures named one by one, as a model sees them.
#pragma once

#include <string>
#include <vector>

#include "data/image/transform.h"
#include "data/left_out.h"

namespace diptych {

struct PictureSet {
  Tensor pixels;  ///< (accounting.used, C, R, R) f32, those that could be read, in their order
  Accounting accounting;
};

/// Reads and transforms them as for evaluation. A picture that cannot be read is left out; throws
/// Error, naming the first of them, if they are more than `max_bad_fraction` or all. `op` starts
/// the message.
PictureSet load_pictures(const char* op, const std::vector<std::string>& paths, const Preprocess&,
                         double max_bad_fraction);

}  // namespace diptych
