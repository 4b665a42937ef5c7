// cuda/emulator/fiber.cpp — switching stacks. Compiled without -fsanitize=thread.
#include "cuda/emulator/fiber.h"

#include <pthread.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

// Null in a program without ThreadSanitizer.
extern "C" {
__attribute__((weak)) void* __tsan_get_current_fiber();
__attribute__((weak)) void* __tsan_create_fiber(unsigned flags);
__attribute__((weak)) void __tsan_destroy_fiber(void*);
__attribute__((weak)) void __tsan_switch_to_fiber(void*, unsigned flags);
__attribute__((weak)) void __tsan_acquire(void*);
__attribute__((weak)) void __tsan_release(void*);
__attribute__((weak)) void AnnotateIgnoreReadsBegin(const char*, int);
__attribute__((weak)) void AnnotateIgnoreReadsEnd(const char*, int);
__attribute__((weak)) void AnnotateIgnoreWritesBegin(const char*, int);
__attribute__((weak)) void AnnotateIgnoreWritesEnd(const char*, int);
}

// emu_switch(&from, to): pushes the registers that a function must preserve, keeps the stack
// pointer in `from`, takes over `to` and pops what was pushed there.
#if defined(__x86_64__)
asm(R"(
.text
emu_switch:
  push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15
  mov %rsp, (%rdi)
  mov %rsi, %rsp
  pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp
  ret
)");
constexpr int kWords = 8, kReturn = 6;  // and a zero, where a debugger's backtrace ends
#elif defined(__aarch64__)
asm(R"(
.text
emu_switch:
  sub sp, sp, #160
  stp x19, x20, [sp]; stp x21, x22, [sp, #16]; stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]; stp x27, x28, [sp, #64]; stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]; stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]; stp d14, d15, [sp, #144]
  mov x2, sp; str x2, [x0]
  mov sp, x1
  ldp x19, x20, [sp]; ldp x21, x22, [sp, #16]; ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]; ldp x27, x28, [sp, #64]; ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]; ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]; ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
)");
constexpr int kWords = 20, kReturn = 11;
#else
#include <ucontext.h>
#endif

namespace emu {
namespace {

constexpr unsigned kNoOrder = 1;  // for ThreadSanitizer: switching alone orders nothing
Fiber* arriving;                  // who was switched to last
Fiber* leaving;                   // by whom
Fiber* host;                      // the one whose stack was not made here
#if defined(__SANITIZE_ADDRESS__)
const void* host_stack;  // known once a fiber was reached from it
size_t host_stack_bytes;
#endif

void before_switch([[maybe_unused]] Fiber& from, Fiber& to) {
  leaving = &from;
  arriving = &to;
#if defined(__SANITIZE_ADDRESS__)
  const bool home = &to == host;
  __sanitizer_start_switch_fiber(&from.address_sanitizer, home ? host_stack : to.stack,
                                 home ? host_stack_bytes : kStackBytes);
#endif
  if (__tsan_switch_to_fiber) __tsan_switch_to_fiber(to.thread_sanitizer, kNoOrder);
}

void after_switch() {
#if defined(__SANITIZE_ADDRESS__)
  const bool from_home = leaving == host;
  __sanitizer_finish_switch_fiber(arriving->address_sanitizer, from_home ? &host_stack : nullptr,
                                  from_home ? &host_stack_bytes : nullptr);
#endif
}

void start() {
  after_switch();
  arriving->main();
}

#if defined(__x86_64__) || defined(__aarch64__)
extern "C" void emu_switch(void** from, void* to);

void change_stack(Fiber& from, Fiber& to) { emu_switch(&from.stack_pointer, to.stack_pointer); }

// What emu_switch pops: zeros in all registers, and start() to return to.
void prepare(Fiber& fiber, char* top) {
  auto* const words = reinterpret_cast<uintptr_t*>(top) - kWords;
  for (int i = 0; i < kWords; ++i) words[i] = 0;
  words[kReturn] = reinterpret_cast<uintptr_t>(&start);
  fiber.stack_pointer = words;
}
#else  // a system call for every switch: several times slower
void change_stack(Fiber& from, Fiber& to) {
  ucontext_t here;
  from.stack_pointer = &here;
  swapcontext(&here, static_cast<ucontext_t*>(to.stack_pointer));
}

void prepare(Fiber& fiber, char* top) {
  auto* const context = reinterpret_cast<ucontext_t*>(fiber.stack);
  getcontext(context);
  context->uc_stack.ss_sp = context + 1;
  context->uc_stack.ss_size = static_cast<size_t>(top - fiber.stack) - sizeof(ucontext_t);
  makecontext(context, &start, 0);
  fiber.stack_pointer = context;
}
#endif

// Does something in the name of a fiber that does not run.
void as_if(Fiber& fiber, void (*act)(void*), const void* place) {
  if (!act) return;
  void* const self = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(fiber.thread_sanitizer, kNoOrder);
  act(const_cast<void*>(place));
  __tsan_switch_to_fiber(self, kNoOrder);
}

}  // namespace

Fiber* make_fiber(void (*main)()) {
  void* memory = mmap(nullptr, kGap + kStackBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED || mprotect(memory, kGap, PROT_NONE) != 0) {
    std::perror("emulator: no memory for the stack of a thread");
    std::abort();
  }
  auto* fiber = new Fiber;
  fiber->stack = static_cast<char*>(memory) + kGap;
  fiber->main = main;
  restart(*fiber);
  return fiber;
}

void restart(Fiber& fiber) {
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(fiber.stack, kStackBytes);
#endif
  fiber.address_sanitizer = nullptr;
  if (fiber.thread_sanitizer) __tsan_destroy_fiber(fiber.thread_sanitizer);
  if (__tsan_create_fiber) fiber.thread_sanitizer = __tsan_create_fiber(0);
  // Stacks that all began at the same place of a page would share few lines of the cache.
  static size_t made = 0;
  prepare(fiber, fiber.stack + kStackBytes - made++ % 60 * 64);
}

void switch_to(Fiber& from, Fiber& to) {
  before_switch(from, to);
  change_stack(from, to);
  after_switch();
}

void adopt_host(Fiber& fiber) {
  host = &fiber;
  if (__tsan_get_current_fiber) fiber.thread_sanitizer = __tsan_get_current_fiber();
}

bool under_thread_sanitizer() { return __tsan_create_fiber != nullptr; }

void publish(Fiber& fiber, const void* place) { as_if(fiber, __tsan_release, place); }
void learn(Fiber& fiber, const void* place) { as_if(fiber, __tsan_acquire, place); }

Unseen::Unseen() {
  if (!AnnotateIgnoreReadsBegin) return;
  AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
  AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
}
Unseen::~Unseen() {
  if (!AnnotateIgnoreReadsBegin) return;
  AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
  AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
}

}  // namespace emu
