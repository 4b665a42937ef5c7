// data/picture_batches.h — pictures named one by one, in folders, lists or tables, and read a batch
// at a time.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "data/image/transform.h"
#include "data/left_out.h"
#include "data/pairs.h"

namespace diptych {

/// Pictures to be read, in their order, and what lies beside them.
struct PictureNames {
  std::vector<std::string> pictures;
  std::vector<LeftOut> left_out;    ///< of folders: see picture_files()
  std::vector<std::string> others;  ///< of folders: no pictures
  int64_t size() const { return static_cast<int64_t>(pictures.size() + left_out.size()); }
};

/// Of each of `specs` in turn: a folder, all that is below it; a .tsv or .csv table, its column of
/// pictures; a .txt list, a path on each line that is not empty; else a picture. Relative paths in
/// tables and lists start at their folder. Throws Error if one of them cannot be read or names
/// none.
PictureNames name_pictures(const std::vector<std::string>& specs, PairOptions = {});

/// Some of the pictures, as evaluation sees them.
struct PictureBatch {
  Tensor bytes;                           ///< u8 (B, R, R, C): see normalized()
  std::vector<const std::string*> names;  ///< of the rows
};

/// Reads and transforms pictures, several at once, and hands them on in their order, `batch` at a
/// time or fewer: memory does not grow with their number. A picture that cannot be read is left
/// out; throws Error, naming the first of them, as soon as they are more than `max_bad_fraction`,
/// and if nothing is left. `op` starts the message.
Accounting each_picture_batch(const char* op, const PictureNames&, const Preprocess&,
                              double max_bad_fraction, const ImageLimits&, int64_t batch,
                              const std::function<void(const PictureBatch&)>& take);

}  // namespace diptych
