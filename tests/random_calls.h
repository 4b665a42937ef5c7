// tests/random_calls.h — operands as nobody would choose them, and what a call with them must give.
#pragma once

#include <algorithm>
#include <functional>
#include <limits>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "autograd/graph.h"
#include "tensor/factory.h"
#include "tensor/philox.h"

namespace diptych::test {

/// The extents of a result, by a rule written here once more; nothing where the call must be
/// refused.
using Rule = std::optional<std::vector<int64_t>>;
inline constexpr auto kRefused = std::nullopt;

/// One call: what it is in words, what must come of it, and how to make it.
struct Call {
  std::string text;
  std::vector<Tensor> operands;  ///< which it leaves alone
  Rule rule;
  std::function<Tensor()> run;
  bool finite = true;    ///< operands between -2 and 2 give finite results and gradients
  bool lenient = false;  ///< may be refused all the same: nobody needs it
};

inline std::vector<int64_t> extents(const Tensor& x) {
  return {x.shape().begin(), x.shape().end()};
}

inline Shape to_shape(const std::vector<int64_t>& extents) {
  Shape shape;
  for (const int64_t d : extents) shape.push_back(d);
  return shape;
}

inline bool floating(const Tensor& x) { return x.defined() && is_float(x.dtype()); }
inline bool alike(const Tensor& a, const Tensor& b) {
  return a.defined() && b.defined() && a.dtype() == b.dtype();
}

/// Number of elements, saturating at `kHuge`; negative if an extent is.
inline constexpr int64_t kHuge = int64_t{1} << 57;
inline int64_t count_of(const std::vector<int64_t>& extents) {
  int64_t n = 1;
  for (const int64_t d : extents) {
    if (d < 0) return -1;
    n = d > 0 && n > kHuge / d ? kHuge : n * d;
  }
  return n;
}

/// Whether an array of these extents can be numbered at all: documented at is_addressable.
inline bool addressable(std::vector<int64_t> extents) {
  const bool negative = count_of(extents) < 0;
  for (int64_t& d : extents) d = std::max<int64_t>(d, 1);
  return !negative && count_of(extents) <= int64_t{1} << 56;
}

/// Draws operands. Small enough to be quick, or so large that no machine has the memory.
class Dice {
 public:
  explicit Dice(uint64_t seed) : random_(seed, 0) {}

  bool chance(double p) { return random_.uniform() < p; }
  int64_t below(int64_t n) { return random_.below(n); }
  template <class T>
  T pick(const std::vector<T>& from) {
    return from[static_cast<size_t>(below(static_cast<int64_t>(from.size())))];
  }

  int64_t extent() { return pick<int64_t>({0, 1, 1, 2, 2, 3, 3, 4, 5, 6, 8, 9}); }
  /// A count, stride or size: mostly small, sometimes one that wraps.
  int64_t number() {
    constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
    if (chance(0.8)) return 1 + below(4);
    return pick<int64_t>({-1, 0, -2, 16, int64_t{1} << 32, int64_t{1} << 62, kMost, -kMost - 1});
  }
  /// In range for `rank` more often than not.
  int axis(int rank) {
    if (chance(0.7) && rank > 0) return static_cast<int>(below(2 * rank)) - rank;
    return pick<int>(
        {-8, -7, -1, 0, 5, 6, 7, std::numeric_limits<int>::max(), std::numeric_limits<int>::min()});
  }

  std::vector<int64_t> shape(int rank = -1) {
    std::vector<int64_t> out(static_cast<size_t>(rank < 0 ? below(7) : rank));
    do {
      for (int64_t& d : out) d = extent();
    } while (count_of(out) > 4096);
    return out;
  }

  /// For views and new arrays: of negative, huge and wrapping extents too.
  std::vector<int64_t> wild_shape(const std::vector<int64_t>& like) {
    std::vector<int64_t> out = chance(0.5) ? like : shape();
    if (chance(0.3)) out = {count_of(like)};
    if (chance(0.2)) std::reverse(out.begin(), out.end());
    for (int64_t& d : out) {
      if (chance(0.15)) d = wild_extent();
    }
    if (out.size() < 6 && chance(0.2)) out.push_back(1);
    const int64_t n = count_of(out);
    return n > 1 << 20 && n < int64_t{1} << 50 ? shape() : out;  // memory that could be had
  }
  int64_t wild_extent() {
    constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
    return pick<int64_t>({-1, -1, -2, 0, 1, int64_t{1} << 31, int64_t{1} << 32, int64_t{1} << 33,
                          int64_t{1} << 55, int64_t{1} << 62, kMost, -kMost - 1});
  }

  DType float_type() { return pick<DType>({DType::f32, DType::f64, DType::f16, DType::bf16}); }
  DType dtype() {
    if (chance(0.85)) return chance(0.7) ? DType::f32 : float_type();
    return pick<DType>({DType::i64, DType::u8});
  }

  /// Values between -2 and 2 in some layout, perhaps tracked; now and then none at all.
  Tensor tensor(const std::vector<int64_t>& extents, DType type) {
    if (chance(0.02)) return {};
    Tensor x = uniform(to_shape(extents), -2, 2, {random_.next(), 0}).to(type);
    x = laid_out(x);
    if (is_float(type) && chance(0.4)) track(x);
    return x;
  }
  Tensor tensor(const std::vector<int64_t>& extents) { return tensor(extents, dtype()); }
  Tensor tensor() { return tensor(shape()); }

  /// A tensor that fits an operand of these extents, or one of which something is different.
  Tensor operand(std::vector<int64_t> extents, DType type) {
    if (chance(0.15)) type = dtype();
    if (chance(0.1)) return tensor(shape(), type);
    if (!extents.empty() && chance(0.1)) extents[pick_index(extents)] = extent();
    return tensor(extents, type);
  }

  /// i64 numbers in [low, high), mostly; sorted if asked for.
  Tensor indices(int64_t n, int64_t low, int64_t high) {
    std::vector<int64_t> values(static_cast<size_t>(n));
    for (int64_t& v : values) v = low + below(std::max<int64_t>(1, high - low));
    if (n > 0 && chance(0.1)) values[pick_index(values)] = chance(0.5) ? number() : -1 - below(4);
    if (chance(0.02)) return {};
    if (chance(0.05)) return tensor({n});
    return from_vector(values, {n});
  }

  /// Ends of sequences that cut `rows` rows, mostly.
  Tensor offsets(int64_t sequences, int64_t rows) {
    std::vector<int64_t> ends{0};
    for (int64_t s = 0; s + 1 < sequences; ++s) ends.push_back(below(rows + 1));
    if (sequences > 0) ends.push_back(rows);
    if (chance(0.95)) std::sort(ends.begin(), ends.end());
    if (chance(0.1)) ends[pick_index(ends)] = chance(0.5) ? number() : rows;
    if (chance(0.05)) return tensor({sequences + 1});
    return from_vector(ends, {static_cast<int64_t>(ends.size())});
  }

 private:
  template <class V>
  size_t pick_index(const V& from) {
    return static_cast<size_t>(below(static_cast<int64_t>(from.size())));
  }

  Tensor laid_out(const Tensor& x) {
    if (x.rank() == 0 || chance(0.6)) return x;
    const int axis = static_cast<int>(below(x.rank()));
    if (chance(0.4)) {
      const int other = static_cast<int>(below(x.rank()));
      return x.transpose(axis, other).clone().transpose(axis, other);
    }
    if (chance(0.5) && x.dim(axis) > 0) return x.slice(axis, 0, 1).expand(x.shape());
    Shape wider = x.shape();
    wider[axis] += 3;
    Tensor room = full(wider, 1, x.dtype());
    room.slice(axis, 2, 2 + x.dim(axis)).copy_(x);
    return room.slice(axis, 2, 2 + x.dim(axis));
  }

  PhiloxStream random_;
};

/// "add(f32 (2, 3) tracked, undefined)".
class Words {
 public:
  explicit Words(const std::string& name) { text_ << name << '('; }
  Words& operator<<(const Tensor& x) {
    comma();
    if (!x.defined()) {
      text_ << "undefined";
    } else {
      text_ << x.dtype() << ' ' << x.shape() << (x.is_contiguous() ? "" : " strided")
            << (needs_grad(x) ? " tracked" : "");
    }
    return *this;
  }
  Words& operator<<(const std::vector<int64_t>& extents) {
    comma();
    text_ << '[';
    for (const int64_t d : extents) text_ << ' ' << d;
    text_ << " ]";
    return *this;
  }
  template <class T>
  Words& operator<<(const T& x) {
    comma();
    text_ << x;
    return *this;
  }
  operator std::string() const { return text_.str() + ')'; }

 private:
  void comma() { text_ << (std::exchange(first_, false) ? "" : ", "); }
  std::ostringstream text_;
  bool first_ = true;
};

}  // namespace diptych::test
