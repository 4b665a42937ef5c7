// cuda/emulator/fiber.h — fibers: stacks that take turns on one thread of the operating system. A
// thread of a kernel runs on one, so that it can stop in the middle of a function, at a barrier,
// and go on later. Sanitizers are told of every switch.
#pragma once

#include <cstddef>

namespace emu {

struct Fiber {
  void* stack_pointer = nullptr;  ///< where it goes on, while it is not running
  char* stack = nullptr;          ///< lowest address; an unreadable gap lies below
  void (*main)() = nullptr;
  Fiber* next_free = nullptr;
  void* thread_sanitizer = nullptr;   ///< its own notion of this fiber
  void* address_sanitizer = nullptr;  ///< frames that it moved off the stack
};

constexpr size_t kStackBytes = 256 * 1024, kGap = 64 * 1024;  // no frame is larger than a gap

/// A fiber that runs main(), which never returns, when first switched to. It is kept for ever.
Fiber* make_fiber(void (*main)());
/// Forgets what a fiber was doing: it starts with main() again.
void restart(Fiber&);
/// `from`, which runs now, stops here until somebody switches to it.
void switch_to(Fiber& from, Fiber& to);
/// Makes `fiber` stand for the stack that runs now, so that others can switch back to it.
void adopt_host(Fiber& fiber);

// ThreadSanitizer reports two accesses unless something orders them. Here somebody else says for a
// fiber, while it is not running: what it did so far is known at `place`; it knows what is known
// there. Nothing happens in a program without ThreadSanitizer.
bool under_thread_sanitizer();
void publish(Fiber&, const void* place);
void learn(Fiber&, const void* place);

/// While one exists, ThreadSanitizer does not see what the running fiber reads and writes.
struct Unseen {
  Unseen();
  ~Unseen();
};

}  // namespace emu
