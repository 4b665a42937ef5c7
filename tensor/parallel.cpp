// tensor/parallel.cpp — parallel_for over OpenMP, or over std::jthread where ThreadSanitizer must
// see every synchronisation (it does not understand libgomp).
#include "tensor/parallel.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

namespace diptych {
namespace {

std::atomic<int> threads{std::max(1, static_cast<int>(std::thread::hardware_concurrency()))};
thread_local int serial_depth = 0;

}  // namespace

void set_num_threads(int n) { threads = std::max(1, n); }
int num_threads() { return threads; }

SerialScope::SerialScope() { ++serial_depth; }
SerialScope::~SerialScope() { --serial_depth; }

namespace detail {

bool run_in_line() { return serial_depth > 0; }

void run_parallel(int64_t chunks, const std::function<void(int64_t)>& chunk) {
#if defined(DIPTYCH_JTHREAD)
  std::vector<std::jthread> team;
  for (int64_t i = 1; i < chunks; ++i) {
    team.emplace_back([&chunk, i] {
      const SerialScope serial;
      chunk(i);
    });
  }
  const SerialScope serial;
  chunk(0);
#else
#pragma omp parallel for schedule(static, 1) num_threads(static_cast <int>(chunks))
  for (int64_t i = 0; i < chunks; ++i) {
    const SerialScope serial;
    chunk(i);
  }
#endif
}

}  // namespace detail
}  // namespace diptych
