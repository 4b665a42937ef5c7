// tensor/parallel.cpp — a small pool of threads that share out the chunks of one loop at a time.
//
// Not OpenMP: its loops end when every thread of the team has arrived, so a core that is busy with
// something else for a moment (a loader thread, a neighbour) stalls the loop for a scheduler's time
// slice. Here a thread takes the next chunk when it is ready, the caller among them; one that comes
// late finds nothing left to do and delays nobody. Chunks are fixed beforehand, so results do not
// depend on who computes them.
#include "tensor/parallel.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "tensor/types.h"

namespace diptych {
namespace {

std::atomic<int> threads{std::max(1, static_cast<int>(std::thread::hardware_concurrency()))};
thread_local int serial_depth = 0;

// A fraction of a millisecond: longer than the gaps between the kernels of a training step, since a
// thread that was put to sleep may wake up on the core of the one it is to help.
constexpr int kSpins = 10000;

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

class Pool {
 public:
  ~Pool() {
    stopping_ = true;
    ticket_ += kNextLoop;  // wakes sleepers: the value they wait on has changed
    ticket_.notify_all();
  }

  /// Runs chunk(0) … chunk(chunks-1). One loop at a time: a second caller runs its own in line. The
  /// last chunk is always the caller's: from loop to loop it works on what its core has near.
  void run(int64_t chunks, const std::function<void(int64_t)>& chunk) {
    const std::unique_lock busy(mutex_, std::try_to_lock);
    if (!busy) {
      for (int64_t i = 0; i < chunks; ++i) chunk(i);
      return;
    }
    while (static_cast<int64_t>(workers_.size()) < chunks - 1) add_worker();
    chunk_ = &chunk;
    unfinished_.store(chunks, std::memory_order_relaxed);
    const uint64_t loop = (ticket_.load(std::memory_order_relaxed) & ~kChunks) + kNextLoop;
    ticket_.store(loop + static_cast<uint64_t>(chunks - 1), std::memory_order_release);
    ticket_.notify_all();
    run_chunk(chunks - 1);
    while (run_one()) {
    }
    for (int spins = 0; unfinished_.load(std::memory_order_acquire) != 0; ++spins) {
      spins < kSpins ? pause() : std::this_thread::yield();
    }
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }

 private:
  // The ticket holds the number of the loop above and the chunks nobody has taken below, in one
  // word: taking a chunk proves that the loop it belongs to still waits for it, so chunk_ is alive.
  static constexpr uint64_t kNextLoop = uint64_t{1} << 32, kChunks = kNextLoop - 1;

  void add_worker() {
    try {
      workers_.emplace_back([this] { work(); });
    } catch (const std::system_error& error) {
      fail("threads: the system gives no more than ", workers_.size() + 1,
           " to compute with: ", error.code().message(),
           "; ask for fewer with --threads, or raise the limit (ulimit -u, ulimit -v)");
    }
  }

  bool run_one() {
    uint64_t ticket = ticket_.load(std::memory_order_relaxed);
    do {
      if ((ticket & kChunks) == 0) return false;
    } while (!ticket_.compare_exchange_weak(ticket, ticket - 1, std::memory_order_acquire));
    run_chunk(static_cast<int64_t>((ticket & kChunks) - 1));
    return true;
  }

  void run_chunk(int64_t i) {
    try {
      const SerialScope serial;
      (*chunk_)(i);
    } catch (...) {
      keep_error(i);
    }
    unfinished_.fetch_sub(1, std::memory_order_release);
  }

  // Of several errors the one of the first chunk arrives, whichever thread was faster.
  void keep_error(int64_t chunk) {
    const std::lock_guard lock(error_mutex_);
    if (error_ && error_chunk_ < chunk) return;
    error_ = std::current_exception();
    error_chunk_ = chunk;
  }

  void work() {
    while (!stopping_) {
      if (run_one()) continue;
      const uint64_t seen = ticket_.load(std::memory_order_relaxed);
      int spins = 0;
      while (spins < kSpins && ticket_.load(std::memory_order_relaxed) == seen) {
        ++spins;
        pause();
      }
      if (spins == kSpins && (seen & kChunks) == 0 && !stopping_) ticket_.wait(seen);
    }
  }

  std::mutex mutex_;
  const std::function<void(int64_t)>* chunk_ = nullptr;
  alignas(64) std::atomic<uint64_t> ticket_{0};
  alignas(64) std::atomic<int64_t> unfinished_{0};
  std::atomic<bool> stopping_{false};
  std::mutex error_mutex_;
  std::exception_ptr error_;
  int64_t error_chunk_ = 0;
  std::vector<std::jthread> workers_;  // last: joined before anything they use is gone
};

}  // namespace

void set_num_threads(int n) { threads = std::max(1, n); }
int num_threads() { return threads; }

SerialScope::SerialScope() { ++serial_depth; }
SerialScope::~SerialScope() { --serial_depth; }

namespace detail {

void refuse_range(int64_t n, int64_t grain) {
  fail("parallel_for: ", n, " elements in pieces of ", grain,
       "; needs at most 2^56 of them and pieces of at least 1");
}

bool run_in_line() { return serial_depth > 0; }

void run_parallel(int64_t chunks, const std::function<void(int64_t)>& chunk) {
  static Pool pool;
  pool.run(chunks, chunk);
}

}  // namespace detail
}  // namespace diptych
