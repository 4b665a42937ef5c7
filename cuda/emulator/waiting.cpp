// cuda/emulator/waiting.cpp — what threads of a kernel wait for: barriers, and operations of their
// warp. Compiled without -fsanitize=thread, as schedule.cpp is; nothing here may copy or fill
// memory through the C library.
#include <bit>

#include "cuda/emulator/schedule.h"

namespace emu {
namespace {

bool same_call(const Thread& a, const Thread& b) {
  return a.waits_in == b.waits_in && a.mask == b.mask && a.where.line() == b.where.line() &&
         a.where.column() == b.where.column();
}

// Others run until this thread is ready and its turn comes.
void wait() {
  Thread& self = *s.running;
  Thread* next = next_thread();
  if (!next) report_deadlock(*self.block);
  if (next == &self)
    become(self);
  else
    go_on_with(*next, *self.fiber);
}

void wait_in(Thread& self, const char* name, unsigned mask, void* registers, const Where& where) {
  self.waits_in = name;
  self.mask = mask;
  self.registers = registers;
  self.where = where;
}

// What each of these threads wrote, all of them may read.
template <class Each>
void fence(const void* place, Each each) {
  if (!under_thread_sanitizer()) return;
  each([&](Thread& thread) { publish(*thread.fiber, place); });
  each([&](Thread& thread) { learn(*thread.fiber, place); });
}

void open_barrier(Block& block) {
  fence(&block.at_barrier, [&](auto act) {
    for (unsigned i = 0; i < block.size; ++i) act(block.thread[i]);
  });
  block.at_barrier = 0;
  push_in_order(block.size, [&](unsigned i) { make_ready(block.thread[i]); });
}

void complete_collective(Thread* warp, unsigned& waiting, void (*all)(void* const*), bool fences) {
  const unsigned mask = s.running->mask;
  const auto in_mask = [&](unsigned lane) { return (mask >> lane & 1) != 0; };
  void* registers[kWarp];
  for (unsigned lane = 0; lane < kWarp; ++lane)
    registers[lane] = in_mask(lane) ? warp[lane].registers : nullptr;
  {
    Unseen shuffles_order_nothing;
    all(registers);
  }
  if (fences)
    fence(&waiting, [&](auto act) {
      for (unsigned lane = 0; lane < kWarp; ++lane)
        if (in_mask(lane)) act(warp[lane]);
    });
  waiting &= ~mask;
  push_in_order(kWarp, [&](unsigned lane) {
    if (in_mask(lane)) make_ready(warp[lane]);
  });
}

}  // namespace

Text place_of_wait(const Thread& thread) {
  return text("thread (%u, %u, %u) waits in %s at %s:%u", thread.index.x, thread.index.y,
              thread.index.z, thread.waits_in, thread.where.file_name(), thread.where.line());
}

// Of its threads two that wait in different places.
void report_deadlock(const Block& block) {
  const Thread *first = nullptr, *second = nullptr;
  for (const Thread* thread = block.thread; thread < block.thread + block.size; ++thread) {
    if (!thread->waits_in) continue;
    if (!first) first = thread;
    if (!same_call(*first, *thread)) second = thread;
  }
  stop(Where{}, "deadlock: %s; %s", place_of_wait(*first).at,
       place_of_wait(second ? *second : *first).at);
}

unsigned lane() { return s.running->number % kWarp; }

void barrier(Where where) {
  Thread& self = *s.running;
  Block& block = *self.block;
  wait_in(self, "__syncthreads", 0, nullptr, where);
  if (block.running < block.size) stop(where, "__syncthreads, but threads of the block returned");
  if (block.at_barrier && !same_call(self, *block.first_at_barrier))
    stop(where, "__syncthreads, but %s", place_of_wait(*block.first_at_barrier).at);
  if (!block.at_barrier) block.first_at_barrier = &self;
  if (++block.at_barrier == block.size) open_barrier(block);
  wait();
}

void collective(const char* name, unsigned mask, void* mine, void (*all)(void* const*), bool fences,
                Where where) {
  Thread& self = *s.running;
  const unsigned own = lane(), warp = self.number / kWarp;
  Thread* const lanes = &self - own;
  unsigned& waiting = self.block->waiting[warp];
  wait_in(self, name, mask, mine, where);
  if (!(mask >> own & 1)) stop(where, "%s with mask %#x, called by lane %u", name, mask, own);
  if (const unsigned gone = mask & self.block->returned[warp])
    stop(where, "%s with mask %#x, but lane %d has returned or never was", name, mask,
         std::countr_zero(gone));
  if (waiting & mask) {
    const Thread& other = lanes[std::countr_zero(waiting & mask)];
    if (!same_call(self, other))
      stop(where, "%s with mask %#x, but %s", name, mask, place_of_wait(other).at);
  }
  waiting |= 1u << own;
  if ((waiting & mask) == mask) complete_collective(lanes, waiting, all, fences);
  wait();
}

}  // namespace emu
