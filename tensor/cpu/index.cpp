// tensor/cpu/index.cpp — rows by index, and the sum of gradients back into them.
#include <cstring>
#include <numeric>
#include <vector>

#include "tensor/cpu/rows.h"
#include "tensor/kernels.h"

namespace diptych::cpu {
namespace {

/// Positions of an index grouped by value, in their original order within a group: a stable
/// counting sort. Group v is order[first[v]] … order[first[v + 1] - 1].
struct Groups {
  Groups(const int64_t* index, int64_t n, int64_t values)
      : first(static_cast<size_t>(values) + 1), order(static_cast<size_t>(n)) {
    for (int64_t i = 0; i < n; ++i) ++first[static_cast<size_t>(index[i]) + 1];
    std::partial_sum(first.begin(), first.end(), first.begin());
    std::vector<int64_t> next = first;
    for (int64_t i = 0; i < n; ++i)
      order[static_cast<size_t>(next[static_cast<size_t>(index[i])]++)] = i;
  }
  std::vector<int64_t> first, order;
};

}  // namespace

void gather_rows(const Tensor& x, const Tensor& index, Tensor& y) {
  const int64_t bytes = x.dim(1) * size_of(x.dtype());
  const auto* from = static_cast<const char*>(x.raw());
  auto* to = static_cast<char*>(y.raw());
  const int64_t* pi = index.data<int64_t>();
  if (bytes == 0) return;
  parallel_for(index.numel(), row_grain(x.dim(1)), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      std::memcpy(to + i * bytes, from + pi[i] * bytes, static_cast<size_t>(bytes));
  });
}

// Each row of dx belongs to one thread, which adds its gradients in the order of their positions.
void scatter_add_rows(const Tensor& g, const Tensor& index, Tensor& dx) {
  const int64_t values = dx.dim(0), width = dx.dim(1);
  const Groups groups(index.data<int64_t>(), index.numel(), values);
  visit_float(g.dtype(), [&]<class T>(Type<T>) {
    using A = acc_t<T>;
    const T* pg = g.data<T>();
    T* pd = dx.data<T>();
    for_each_row<A>(values, width, 2, [&](int64_t v, A* room) {
      A* __restrict total = landing(pd + v * width, room);
      std::fill(total, total + width, A(0));
      const auto begin = static_cast<size_t>(groups.first[static_cast<size_t>(v)]);
      const auto end = static_cast<size_t>(groups.first[static_cast<size_t>(v) + 1]);
      for (size_t k = begin; k < end; ++k) {
        const A* __restrict row = widen(pg + groups.order[k] * width, width, room + width);
        for (int64_t j = 0; j < width; ++j) total[j] += row[j];
      }
      narrow(total, width, pd + v * width);
    });
  });
}

}  // namespace diptych::cpu
