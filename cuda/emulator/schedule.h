// cuda/emulator/schedule.h — the threads of a grid: what is known of each, and whose turn is next.
#pragma once

#include <random>
#include <vector>

#include "cuda/emulator/fiber.h"
#include "cuda/emulator/internal.h"
#include "cuda/emulator/shared_memory.h"

namespace emu {

constexpr unsigned kMostThreads = 1024, kWarp = 32;

struct Block;

struct Thread {
  uint3 index;
  Block* block;
  unsigned number;  // within the block
  Fiber* fiber;     // null until it runs
  // What it waits for, if anything: a barrier or an operation of its warp.
  const char* waits_in;
  Where where;
  unsigned mask;
  void* registers;
};

struct Block {
  uint3 index;
  Thread thread[kMostThreads];
  unsigned size, running, at_barrier;
  Thread* first_at_barrier;
  unsigned waiting[kMostThreads / kWarp];   // lanes in an operation of their warp
  unsigned returned[kMostThreads / kWarp];  // lanes that will not come any more
  SharedMemory shared;
  Fiber* fiber[kMostThreads];  // under ThreadSanitizer, every thread's own
  char free;  // its address stands for all that was done before the next block may be here
};

struct Scheduler {
  const Grid* grid = nullptr;  // null while no kernel runs
  Thread* running;
  std::vector<Thread*> ready;  // a stack
  size_t ready_count;
  std::vector<Block*> block;
  unsigned resident;  // how many of them are used
  uint64_t blocks, started, first, stride;
  std::minstd_rand random;
  Fiber host;
  std::vector<Fiber*> fibers;
  Fiber* free_fibers = nullptr;
  bool stopped;  // before its end
  Text why;
  Where where;
};
/// Never destroyed: threads may still run when the process ends.
inline Scheduler& s = *new Scheduler;

// schedule.cpp

/// Its turn comes; it waits for nothing any more.
void make_ready(Thread&);
/// The thread whose turn it is, taken off the ready ones; null if none is.
Thread* next_thread();
/// Another thread is the running one from here on.
void become(Thread&);
/// The same, and it goes on where it stopped; `from`, which runs now, stops here.
void go_on_with(Thread&, Fiber& from);

/// Pushed so that they are popped in the order of the settings.
template <class Each>
void push_in_order(unsigned n, Each push) {
  const bool first_on_top = settings().order != Order::reverse;
  for (unsigned i = 0; i < n; ++i) push(first_on_top ? n - 1 - i : i);
}

// waiting.cpp

/// "thread (0, 0, 0) waits in __syncthreads at file:line"
Text place_of_wait(const Thread&);
/// Nobody is ready, and the block has not ended.
[[noreturn]] void report_deadlock(const Block&);

}  // namespace emu
