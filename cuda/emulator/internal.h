// cuda/emulator/internal.h — what the emulator's files need of each other.
#pragma once

#include <mutex>

#include "cuda/emulator/emulator.h"

namespace emu {

/// Held by every call: one at a time, and kernels run while it is held.
std::recursive_mutex& mutex();
using Lock = std::lock_guard<std::recursive_mutex>;

// schedule.cpp

struct Grid {
  std::string name;
  dim3 blocks, threads;
  size_t dynamic_bytes;
  std::function<void()> thread;
};
/// Runs all threads of a grid. False if one of them was stopped, after a report.
bool run(const Grid&);

/// A formatted text without memory of the heap, which a thread that is stopped would never free.
struct Text {
  char at[600];
};
Text text(const char* format, ...) __attribute__((format(printf, 1, 2)));

/// "name: block (0, 0, 0), thread (1, 0, 0)" of the thread that runs now, or "the host".
Text running();
bool a_kernel_runs();
bool below_running_stack(const void*);  ///< in the gap below its stack

// memory.cpp

/// While one exists, device memory can be read and written in spite of Settings::protect.
struct Open {
  Open();
  ~Open();
  Open(const Open&) = delete;
};
bool in_device_memory(const void*);  ///< or in what was such
/// A report and an error that stays, if something wrote beside a block of device memory.
void check_guards(const std::string& user);

// stream.cpp

cudaError_t queue(cudaStream_t, std::function<void()> work);
/// Runs the work of all streams, or of those alone that the null stream waits for.
void drain(bool non_blocking_too);

// report.cpp

/// Keeps an error for cudaGetLastError, and hands it on.
cudaError_t result(cudaError_t);
/// A failed kernel's error, which every later call returns as well.
cudaError_t& sticky();
void trace(Call);
/// Lets the process say where it was when it touches memory that is not there.
void watch_for_faults();

}  // namespace emu
