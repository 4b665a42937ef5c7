// tensor/parallel.h — parallel_for: the only place that knows about threads inside kernels.
#pragma once

#include <cstdint>
#include <functional>

namespace diptych {

/// Number of threads that parallel_for uses, at least 1. Results never depend on it.
void set_num_threads(int n);
int num_threads();

/// While alive, parallel_for on this thread runs in line: for data-loader workers and thread ranks,
/// which are parallel among themselves.
class SerialScope {
 public:
  SerialScope();
  ~SerialScope();
  SerialScope(const SerialScope&) = delete;
  SerialScope& operator=(const SerialScope&) = delete;
};

namespace detail {
bool run_in_line();
[[noreturn]] void refuse_range(int64_t n, int64_t grain);
void run_parallel(int64_t chunks, const std::function<void(int64_t)>& chunk);
}  // namespace detail

/// Calls f(begin, end) on disjoint ranges that cover [0, n), each of about `grain` elements or
/// more, on several threads. Where the ranges are cut depends on the number of threads, so f may
/// not accumulate across elements: see RowChunks in tensor/cpu/rows.h. If f throws, the other
/// ranges are finished, and the exception of the first range that threw arrives here. Throws Error
/// if grain < 1 or n is beyond 2^56.
template <class F>
void parallel_for(int64_t n, int64_t grain, const F& f) {
  if (grain < 1 || n > int64_t{1} << 56) detail::refuse_range(n, grain);
  if (n <= 0) return;
  const int64_t most = (n + grain - 1) / grain;
  const int64_t threads = most == 1 || detail::run_in_line() ? 1 : num_threads();
  const int64_t chunks = most < threads ? most : threads;
  if (chunks == 1) return f(int64_t{0}, n);
  // A vectorised loop may round the elements behind its last whole vector differently from the
  // rest. So long ranges are cut at multiples of a vector: what is left over depends on n alone.
  const int64_t step = grain >= 1024 ? 64 : 1;
  const auto cut = [=](int64_t i) { return i == chunks ? n : n * i / chunks / step * step; };
  detail::run_parallel(chunks, [&](int64_t i) { f(cut(i), cut(i + 1)); });
}

}  // namespace diptych
