// cuda/emulator/emulator.h — the emulator's own interface: how tests choose what it does and see
// what it did, and what the doubles of libraries need of it. Programs that run on a GPU as well do
// not include it.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <string>
#include <vector>

namespace emu {

enum class Order { forward, reverse, random };

/// What a GPU leaves open. In the beginning as the environment says; see README.md.
struct Settings {
  Order order = Order::forward;  ///< DIPTYCH_EMU_ORDER=forward|reverse|random:SEED
  uint64_t seed = 0;
  int resident = 1;      ///< DIPTYCH_EMU_RESIDENT: blocks that are alive at once
  bool protect = false;  ///< DIPTYCH_EMU_PROTECT=1: the host cannot touch device memory
  bool lazy = false;     ///< DIPTYCH_EMU_STREAMS=lazy: work waits until somebody waits for it
};
Settings& settings();

/// The last report's text, empty if there was none; it was also written to stderr.
std::string report();
/// Forgets reports and the error that a failed kernel leaves behind, and work not yet run.
void reset();

/// Something the host asked for, in the order in which it did.
struct Call {
  enum Kind { launch, copy, set, wait } kind;
  std::string name;                              ///< of the kernel, or of the function called
  size_t bytes = 0;                              ///< copied or set
  cudaMemcpyKind direction = cudaMemcpyDefault;  ///< of a copy
};
void start_trace();
std::vector<Call> take_trace();  ///< and stops it

size_t allocated_bytes();  ///< of device memory, now

/// Queues work() like a kernel of that name; it may touch device memory. For library doubles.
cudaError_t enqueue(cudaStream_t, const char* name, std::function<void()> work);
/// From p to the end of its block of device memory, in bytes; 0 if p is not in one.
size_t extent(const void* p);
/// For doubles: a misuse, written to stderr and kept for report().
void tell(const std::string& text);

}  // namespace emu
