// cuda/emulator/schedule.cpp — the threads of a grid, one after another, each until it has to wait.
// Compiled without -fsanitize=thread; nothing here may copy or fill memory through the C library,
// which ThreadSanitizer watches everywhere.
#include "cuda/emulator/schedule.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <numeric>

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace emu {
namespace {

// -- fibers --

void run_threads();

Fiber* new_fiber() {
  s.fibers.push_back(make_fiber(&run_threads));
  return s.fibers.back();
}

Fiber* take_fiber() {
  if (!s.free_fibers) return new_fiber();
  Fiber* fiber = s.free_fibers;
  s.free_fibers = fiber->next_free;
  return fiber;
}

void give_back(Fiber* fiber) {
  fiber->next_free = s.free_fibers;
  s.free_fibers = fiber;
}

}  // namespace

// -- who is next --

void make_ready(Thread& thread) {
  thread.waits_in = nullptr;
  s.ready[s.ready_count++] = &thread;
}

Thread* next_thread() {
  if (s.ready_count == 0) return nullptr;
  Thread*& top = s.ready[s.ready_count - 1];
  if (settings().order == Order::random) std::swap(top, s.ready[s.random() % s.ready_count]);
  --s.ready_count;
  return top;
}

void become(Thread& thread) {
  s.running = &thread;
  threadIdx = thread.index;
  blockIdx = thread.block->index;
}

void go_on_with(Thread& thread, Fiber& from) {
  if (!thread.fiber) thread.fiber = take_fiber();
  become(thread);
  switch_to(from, *thread.fiber);
}

namespace {

// After the thread, which is still the running one, was left for ever.
void report_stop() {
  std::string where;
  if (s.where.line()) where = s.where.file_name() + (":" + std::to_string(s.where.line()) + ": ");
  tell(running().at + (": " + where) + s.why.at);
}

// -- blocks --

uint3 index_of(uint64_t number, const dim3& size) {
  return {static_cast<unsigned>(number % size.x), static_cast<unsigned>(number / size.x % size.y),
          static_cast<unsigned>(number / size.x / size.y)};
}

void prepare_thread(Block& block, unsigned number) {
  Thread& thread = block.thread[number];
  thread.index = index_of(number, blockDim);
  thread.block = &block;
  thread.number = number;
  thread.waits_in = nullptr;
  thread.fiber = nullptr;
  if (!under_thread_sanitizer()) return;
  if (!block.fiber[number]) block.fiber[number] = new_fiber();
  thread.fiber = block.fiber[number];
  learn(*thread.fiber, &block.free);
}

// The block of that number, in the order of the settings, in the place of one that has ended.
void start_block(Block& block, uint64_t number) {
  block.index = index_of((s.first + number * s.stride) % s.blocks, gridDim);
  block.size = block.running = blockDim.x * blockDim.y * blockDim.z;
  block.at_barrier = 0;
  for (unsigned warp = 0; warp < kMostThreads / kWarp; ++warp) {
    const unsigned lanes = block.size - std::min(block.size, warp * kWarp);
    block.waiting[warp] = 0;
    block.returned[warp] = lanes >= kWarp ? 0 : ~0u << lanes;
  }
  block.shared.start(s.grid->dynamic_bytes);
  for (unsigned i = 0; i < block.size; ++i) prepare_thread(block, i);
  push_in_order(block.size, [&](unsigned i) { make_ready(block.thread[i]); });
}

void end_block(Block& block) {
  if (const char* overrun = block.shared.end())
    stop(Where{}, "a thread of the block wrote beside its shared memory \"%s\"", overrun);
  if (under_thread_sanitizer())
    for (unsigned i = 0; i < block.size; ++i) publish(*block.thread[i].fiber, &block.free);
  if (s.started < s.blocks) start_block(block, s.started++);
}

void thread_returned(Thread& thread) {
  Block& block = *thread.block;
  const unsigned warp = thread.number / kWarp, lane = thread.number % kWarp;
  if (block.at_barrier)
    stop(Where{}, "returned, but %s", place_of_wait(*block.first_at_barrier).at);
  for (unsigned left = block.waiting[warp]; left; left &= left - 1) {
    const Thread& other = block.thread[warp * kWarp + std::countr_zero(left)];
    if (other.mask >> lane & 1) stop(Where{}, "returned, but %s", place_of_wait(other).at);
  }
  block.returned[warp] |= 1u << lane;
  if (--block.running == 0) end_block(block);
}

// What every fiber does: as long as fresh threads come, it runs them without any switch.
void run_threads() {
  for (;;) {
    Fiber* const fiber = s.running->fiber;
    s.grid->thread();
    thread_returned(*s.running);
    Thread* next = next_thread();
    if (next && !next->fiber) {
      next->fiber = fiber;
      become(*next);
      continue;
    }
    if (!under_thread_sanitizer()) give_back(fiber);
    if (next) {
      go_on_with(*next, *fiber);
      continue;
    }
    for (unsigned i = 0; i < s.resident; ++i)
      if (s.block[i]->running) report_deadlock(*s.block[i]);
    switch_to(*fiber, s.host);
  }
}

// -- a grid --

// Blocks follow each other as first, first + stride, … modulo their number.
void choose_order_of_blocks() {
  s.random.seed(static_cast<unsigned>(settings().seed * 2 + 1));
  s.first = 0;
  s.stride = 1;
  if (settings().order == Order::reverse) s.first = s.stride = s.blocks - 1;
  if (settings().order != Order::random) return;
  s.first = s.random() % s.blocks;
  do s.stride = s.random() % s.blocks + 1;
  while (std::gcd(s.stride, s.blocks) != 1);
}

// ThreadSanitizer's clocks have an entry for every thread up to the last that they know: the fibers
// that all kernels use come first.
Block* new_block() {
  constexpr unsigned kOften = 256;
  auto* const block = new Block{};
  for (unsigned i = 0; under_thread_sanitizer() && i < kOften; ++i) block->fiber[i] = new_fiber();
  return block;
}

void make_room() {
  const auto wished = static_cast<uint64_t>(std::max(settings().resident, 1));
  s.resident = static_cast<unsigned>(std::min(s.blocks, wished));
  while (s.block.size() < wished) s.block.push_back(new_block());
  s.ready.resize(s.resident * kMostThreads);
  s.ready_count = 0;
}

// Threads that were stopped in the middle of a kernel will not go on.
void abandon_fibers() {
  s.free_fibers = nullptr;
  for (Fiber* fiber : s.fibers) {
    publish(*fiber, &s.block.front()->free);
    restart(*fiber);
    if (!under_thread_sanitizer()) give_back(fiber);
  }
}

void run_all() {
  adopt_host(s.host);
  for (unsigned i = 0; i < s.resident; ++i) publish(s.host, &s.block[i]->free);
  push_in_order(s.resident, [](unsigned i) { start_block(*s.block[i], i); });
  s.started = s.resident;
  go_on_with(*next_thread(), s.host);
  if (s.stopped) abandon_fibers();
  for (unsigned i = 0; i < s.resident; ++i) learn(s.host, &s.block[i]->free);
  if (s.stopped) report_stop();
}

}  // namespace

bool run(const Grid& grid) {
  s.grid = &grid;
  gridDim = grid.blocks;
  blockDim = grid.threads;
  s.blocks = uint64_t{gridDim.x} * gridDim.y * gridDim.z;
  s.stopped = false;
  make_room();
  choose_order_of_blocks();
  watch_for_faults();
  run_all();
  s.grid = nullptr;
  return !s.stopped;
}

void* shared(const char* tag, const char* name, size_t bytes, size_t alignment) {
  void* place = s.running->block->shared.variable(tag, name, bytes, alignment);
  if (!place) stop(Where{}, "\"%s\" is beyond 48 KiB, or the 16th of its block", name);
  return place;
}

void* dynamic_shared() { return s.running->block->shared.dynamic(); }

void stop(Where where, const char* format, ...) {
  std::va_list values;
  va_start(values, format);
  std::vsnprintf(s.why.at, sizeof(s.why.at), format, values);
  va_end(values);
  s.stopped = true;
  s.where = where;
  switch_to(*s.running->fiber, s.host);
  __builtin_unreachable();
}

bool a_kernel_runs() { return s.grid != nullptr; }

Text running() {
  if (!s.grid) return {"the host"};
  return text("%s: block (%u, %u, %u), thread (%u, %u, %u)", s.grid->name.c_str(), blockIdx.x,
              blockIdx.y, blockIdx.z, threadIdx.x, threadIdx.y, threadIdx.z);
}

bool below_running_stack(const void* address) {
  if (!s.grid) return false;
  const char* const stack = s.running->fiber->stack;
  return stack - kGap <= address && address < stack;
}

}  // namespace emu
