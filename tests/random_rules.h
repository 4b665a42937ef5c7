// tests/random_rules.h — which operands fit which operator, and the shape of what it gives: the
// documentation of autograd/ops.h, written down once more without looking at the operators.
#pragma once

#include "tests/random_calls.h"

namespace diptych::test {

using Extents = std::vector<int64_t>;

inline Rule broadcast(Extents a, Extents b) {
  while (a.size() < b.size()) a.insert(a.begin(), 1);
  while (b.size() < a.size()) b.insert(b.begin(), 1);
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] != b[i] && a[i] != 1 && b[i] != 1) return kRefused;
    if (a[i] == 1) a[i] = b[i];
  }
  return a;
}

inline Rule like(const Tensor& x, bool fits) { return fits ? Rule(extents(x)) : kRefused; }

/// Can be multiplied with.
inline bool is_small(int64_t n) { return -100 < n && n < 100; }

inline bool in_range(int axis, const Tensor& x) { return -x.rank() <= axis && axis < x.rank(); }

inline bool has_shape(const Tensor& x, const Extents& shape) { return extents(x) == shape; }

inline bool all_within(const Tensor& index, int64_t n) {
  for (const int64_t i : index.to_vector<int64_t>())
    if (i < 0 || i >= n) return false;
  return true;
}

inline Rule without(const Tensor& x, int axis, bool keep) {
  Extents shape = extents(x);
  const auto at = shape.begin() + (axis < 0 ? axis + x.rank() : axis);
  if (keep)
    *at = 1;
  else
    shape.erase(at);
  return shape;
}

inline Rule matmul_rule(const Tensor& a, const Tensor& b) {
  if (!floating(a) || !alike(a, b) || a.rank() < 2 || b.rank() < 2) return kRefused;
  Extents left = extents(a), right = extents(b);
  const int64_t M = left[left.size() - 2], K = left.back(), N = right.back();
  if (K != right[right.size() - 2]) return kRefused;
  left.resize(left.size() - 2);
  right.resize(right.size() - 2);
  Rule shape = broadcast(left, right);
  if (shape) shape->insert(shape->end(), {M, N});
  return shape;
}

inline Rule linear_rule(const Tensor& x, const Tensor& w, const Tensor& b, const Tensor& residual) {
  if (!floating(x) || !alike(x, w) || x.rank() < 1 || w.rank() != 2) return kRefused;
  Extents shape = extents(x);
  if (shape.back() != w.dim(1)) return kRefused;
  shape.back() = w.dim(0);
  if (b.defined() && (!alike(x, b) || !has_shape(b, {w.dim(0)}))) return kRefused;
  if (residual.defined() && (!alike(x, residual) || !has_shape(residual, shape))) return kRefused;
  return shape;
}

inline Rule conv_rule(const Tensor& x, const Tensor& w, int64_t stride, int64_t padding) {
  if (!floating(x) || !alike(x, w) || x.rank() != 4 || w.rank() != 4) return kRefused;
  if (w.dim(1) != x.dim(3) || stride < 1 || padding < 0 || padding > kHuge) return kRefused;
  Extents shape{x.dim(0)};
  for (const int axis : {1, 2}) {
    const int64_t room = x.dim(axis) + 2 * padding, k = w.dim(axis + 1);
    if (k < 1 || k > room) return kRefused;
    shape.push_back((room - k) / stride + 1);
  }
  shape.push_back(w.dim(0));
  return addressable(shape) && count_of(shape) < 1 << 24 ? Rule(shape) : kRefused;
}

// Rows of D columns, and what goes with each column.
inline bool columns_fit(const Tensor& x, const std::vector<Tensor>& each) {
  if (!floating(x) || x.rank() < 1) return false;
  const DType wide = x.dtype() == DType::f64 ? DType::f64 : DType::f32;
  for (const Tensor& t : each)
    if (!(alike(x, t) || (t.defined() && t.dtype() == wide)) || !has_shape(t, {x.dim(-1)}))
      return false;
  return true;
}

inline bool are_offsets(const Tensor& offsets, int64_t rows) {
  if (!offsets.defined() || offsets.dtype() != DType::i64 || offsets.rank() != 1) return false;
  const auto ends = offsets.to_vector<int64_t>();
  return !ends.empty() && ends.front() == 0 && ends.back() == rows &&
         std::is_sorted(ends.begin(), ends.end());
}

/// No machine that runs this is asked for more elements than these.
inline constexpr int64_t kSmall = 1 << 21;

inline Rule view_rule(const Tensor& x, Extents shape) {
  const auto wild = std::count(shape.begin(), shape.end(), -1);
  const auto at = std::find(shape.begin(), shape.end(), -1);
  if (!x.defined() || wild > 1) return kRefused;
  if (wild == 1) *at = 1;
  if (!addressable(shape)) return kRefused;
  if (wild == 1) {
    const int64_t known = count_of(shape);
    if (known == 0 || x.numel() % known != 0) return kRefused;
    *at = x.numel() / known;
  }
  return count_of(shape) == x.numel() ? Rule(shape) : kRefused;
}

inline Rule expand_rule(const Tensor& x, const Extents& to) {
  if (!x.defined() || static_cast<int>(to.size()) < x.rank() || !addressable(to)) return kRefused;
  const size_t lead = to.size() - extents(x).size();
  for (size_t i = lead; i < to.size(); ++i)
    if (extents(x)[i - lead] != to[i] && extents(x)[i - lead] != 1) return kRefused;
  return to;
}

inline Rule cat_rule(const std::vector<Tensor>& xs, int axis) {
  for (const Tensor& x : xs)
    if (!alike(x, xs[0]) || x.rank() != xs[0].rank() || !in_range(axis, x)) return kRefused;
  if (xs.empty()) return kRefused;
  Extents all = extents(xs[0]);
  int64_t& joined = all[static_cast<size_t>(axis < 0 ? axis + xs[0].rank() : axis)];
  int64_t length = joined;
  for (size_t i = 1; i < xs.size(); ++i) {
    length += xs[i].dim(axis);
    joined = xs[i].dim(axis);
    if (extents(xs[i]) != all) return kRefused;
  }
  joined = length;
  return all;
}

// What can be made: a shape that fits into memory.
inline Rule made(const Extents& shape, bool fits = true) {
  return fits && addressable(shape) && count_of(shape) <= kSmall ? Rule(shape) : kRefused;
}

}  // namespace diptych::test
