// tensor/cpu/flat.h — many arrays worked on as one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace diptych::cpu {

/// Arrays as if they stood one behind the other, so that a loop over all of them is shared out
/// evenly however long each is.
class Flat {
 public:
  void append(int64_t size) { start_.push_back(start_.back() + size); }
  int64_t size() const { return start_.back(); }

  /// Calls f(number of the array, first element in it, elements) for the pieces of [begin, end).
  template <class F>
  void for_each_piece(int64_t begin, int64_t end, const F& f) const {
    auto next = std::upper_bound(start_.begin(), start_.end(), begin);
    for (; begin < end; ++next) {
      const int64_t stop = std::min(end, *next);
      if (begin < stop) f(next - start_.begin() - 1, begin - *(next - 1), stop - begin);
      begin = stop;
    }
  }

 private:
  std::vector<int64_t> start_{0};
};

}  // namespace diptych::cpu
