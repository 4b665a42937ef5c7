// data/dataset.h — Dataset: numbered picture-caption pairs, each a pure function of its number.
#pragma once

#include <cstdint>
#include <string>

#include "tensor/tensor.h"

namespace diptych {

/// One picture with its caption.
struct Example {
  Tensor pixels;        ///< u8 (R, R, C), as the picture has them: see normalized()
  std::string caption;  ///< UTF-8, as found
  int64_t label = -1;   ///< class number where there are classes
};

/// Picture-caption pairs 0 … size()-1.
class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual int64_t size() const = 0;
  /// The pair `index` as seen in `epoch`: random choices depend on (seed, epoch, index) alone,
  /// never on the order of calls. Safe to call from several threads. Throws Error naming a damaged
  /// sample.
  virtual Example get(int64_t index, int64_t epoch) const = 0;
  /// Where the pair comes from, for messages: a path, or "test 17".
  virtual std::string name_of(int64_t index) const = 0;
};

}  // namespace diptych
