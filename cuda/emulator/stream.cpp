// cuda/emulator/stream.cpp — streams and events: work in order, run at once, or (lazily) only when
// somebody waits for it, as late as on a GPU it could.
#include <chrono>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <set>

#include "cuda/emulator/internal.h"

using namespace emu;
using Clock = std::chrono::steady_clock;

struct CUstream_st {
  bool non_blocking = false;  ///< the null stream does not wait for it
  std::deque<std::function<void()>> work = {};
};

/// A place in a stream's work.
struct Mark {
  cudaStream_t stream;
  bool passed = false;
  Clock::time_point time = {};
};
struct CUevent_st {
  bool timed;
  std::shared_ptr<Mark> mark = {};  ///< null until it is recorded
};

namespace emu {
namespace {

// Never destroyed.
auto& null_stream = *new CUstream_st;
auto& streams = *new std::set<cudaStream_t>;
auto& events = *new std::set<cudaEvent_t>;
auto& shared_limits = *new std::map<const void*, size_t>;  // of kernels that asked for more

bool known(cudaStream_t stream) { return !stream || streams.count(stream); }

bool run_next(CUstream_st& stream) {
  if (stream.work.empty()) return false;
  const std::function<void()> work = std::move(stream.work.front());
  stream.work.pop_front();
  if (!sticky()) work();
  return true;
}

void drain(CUstream_st& stream) {
  while (run_next(stream)) {
  }
}

void run_until(Mark& mark) {
  const Open open;  // once for all of it: protecting memory takes longer than a small kernel
  while (!mark.passed && streams.count(mark.stream) && run_next(*mark.stream)) {
  }
}

cudaError_t no_handle() {
  tell("a stream or an event that was never made, or was destroyed");
  return result(cudaErrorInvalidResourceHandle);
}

}  // namespace

void drain(bool non_blocking_too) {
  for (const cudaStream_t stream : streams)
    if (non_blocking_too || !stream->non_blocking) drain(*stream);
}

// What is queued on the null stream comes after all that blocks it, and is done at once.
cudaError_t queue(cudaStream_t stream, std::function<void()> work) {
  const Lock lock(mutex());
  if (sticky()) return result(sticky());
  if (!known(stream)) return no_handle();
  if (!stream) drain(false);
  CUstream_st& target = stream ? *stream : null_stream;
  target.work.push_back(std::move(work));
  if (!stream || !settings().lazy) drain(target);
  return result(sticky());
}

// -- kernels --

namespace {

thread_local std::string next_name = "a kernel";

// The rules of an H100.
bool allowed(const cudaLaunchConfig_t& config, const void* kernel) {
  const dim3 &grid = config.gridDim, &block = config.blockDim;
  const auto limit = shared_limits.find(kernel);
  return grid.x && grid.y && grid.z && block.x && block.y && block.z && grid.x <= 0x7fffffffu &&
         grid.y <= 65535 && grid.z <= 65535 && block.z <= 64 &&
         uint64_t{block.x} * block.y * block.z <= 1024 && config.numAttrs == 0 &&
         config.dynamicSmemBytes <= (limit == shared_limits.end() ? 48 * 1024 : limit->second);
}

}  // namespace

void name_launch(const char* name) { next_name = name; }

cudaError_t launch(const cudaLaunchConfig_t& config, const void* kernel,
                   std::function<void()> thread) {
  const Grid grid{std::exchange(next_name, "a kernel"), config.gridDim, config.blockDim,
                  config.dynamicSmemBytes, std::move(thread)};
  if (!allowed(config, kernel)) {
    tell(grid.name + ": a grid, a block or shared memory of a size that no GPU accepts");
    return result(cudaErrorInvalidConfiguration);
  }
  return enqueue(config.stream, grid.name.c_str(), [grid] {
    if (!run(grid)) sticky() = cudaErrorLaunchFailure;
  });
}

cudaError_t enqueue(cudaStream_t stream, const char* name, std::function<void()> work) {
  const Lock lock(mutex());
  trace({Call::launch, name});
  return queue(stream, [work = std::move(work), name = std::string(name)] {
    const Open open;
    work();
    check_guards(name);
  });
}

// -- copies --

namespace {

cudaMemcpyKind actual_kind(const void* to, const void* from) {
  return static_cast<cudaMemcpyKind>((extent(from) > 0) * 2 + (extent(to) > 0));
}

// Device memory must be there, and all of it in one block.
bool is_whole(const char* name, const void* p, size_t bytes) {
  const size_t room = extent(p);
  if (room >= bytes || (!room && !in_device_memory(p))) return true;
  tell(std::string(name) + ": " + std::to_string(bytes) + " bytes where " + std::to_string(room) +
       " are left of a block");
  return false;
}

bool is_said(const char* name, cudaMemcpyKind said, cudaMemcpyKind is) {
  static constexpr const char* kNames[] = {"host to host", "host to device", "device to host",
                                           "device to device"};
  if (said == cudaMemcpyDefault || said == is) return true;
  tell(std::string(name) + ": said to be " + kNames[said] + ", is " + kNames[is]);
  return false;
}

cudaError_t copy(const char* name, void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                 cudaStream_t stream) {
  const Lock lock(mutex());
  const cudaMemcpyKind actual = actual_kind(to, from);
  if (bytes == 0) return result(sticky());
  if (!is_said(name, kind, actual) || !is_whole(name, from, bytes) || !is_whole(name, to, bytes))
    return result(cudaErrorInvalidValue);
  trace({Call::copy, name, bytes, actual});
  return queue(stream, [=] {
    const Open open;
    std::memmove(to, from, bytes);
  });
}

// Something that the host waits for was done.
cudaError_t waited(const char* name) {
  trace({Call::wait, name});
  return result(sticky());
}

}  // namespace
}  // namespace emu

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  return copy("cudaMemcpy", to, from, bytes, kind, nullptr);
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return copy("cudaMemcpyAsync", to, from, bytes, kind, stream);
}

cudaError_t cudaMemsetAsync(void* to, int byte, size_t bytes, cudaStream_t stream) {
  const Lock lock(mutex());
  if (bytes == 0) return result(sticky());
  if (extent(to) < bytes) {
    tell("cudaMemsetAsync: not " + std::to_string(bytes) + " bytes of device memory");
    return result(cudaErrorInvalidValue);
  }
  trace({Call::set, "cudaMemsetAsync", bytes});
  return queue(stream, [=] {
    const Open open;
    std::memset(to, byte, bytes);
  });
}

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute, int value) {
  const Lock lock(mutex());
  if (value < 0 || value > 227 * 1024) return result(cudaErrorInvalidValue);
  shared_limits[kernel] = static_cast<size_t>(value);
  return cudaSuccess;
}

// -- streams --

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  const Lock lock(mutex());
  streams.insert(*stream = new CUstream_st{(flags & cudaStreamNonBlocking) != 0});
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const Lock lock(mutex());
  if (!streams.count(stream)) return no_handle();
  drain(*stream);
  streams.erase(stream);
  delete stream;
  return result(sticky());
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  const Lock lock(mutex());
  if (!known(stream)) return no_handle();
  stream ? drain(*stream) : drain(false);
  return waited("cudaStreamSynchronize");
}
cudaError_t cudaDeviceSynchronize() {
  const Lock lock(mutex());
  drain(true);
  return waited("cudaDeviceSynchronize");
}

// -- events --

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  const Lock lock(mutex());
  events.insert(*event = new CUevent_st{!(flags & cudaEventDisableTiming)});
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  const Lock lock(mutex());
  if (!events.erase(event)) return no_handle();
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const Lock lock(mutex());
  if (!events.count(event)) return no_handle();
  event->mark = std::make_shared<Mark>(Mark{stream});
  return queue(stream, [mark = event->mark] {
    mark->passed = true;
    mark->time = Clock::now();
  });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  const Lock lock(mutex());
  if (!events.count(event)) return no_handle();
  return queue(stream, [mark = event->mark] {
    if (mark) run_until(*mark);
  });
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  const Lock lock(mutex());
  if (!events.count(event)) return no_handle();
  if (event->mark) run_until(*event->mark);
  return waited("cudaEventSynchronize");
}

// A program may ask again and again until it is done: every time a little is.
cudaError_t cudaEventQuery(cudaEvent_t event) {
  const Lock lock(mutex());
  if (!events.count(event)) return no_handle();
  if (!event->mark || event->mark->passed) return result(sticky());
  run_next(*event->mark->stream);
  return cudaErrorNotReady;
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t from, cudaEvent_t to) {
  const Lock lock(mutex());
  if (!events.count(from) || !events.count(to) || !from->timed || !to->timed) return no_handle();
  if (!from->mark || !to->mark) return result(cudaErrorInvalidResourceHandle);
  if (!from->mark->passed || !to->mark->passed) return cudaErrorNotReady;
  *milliseconds =
      std::chrono::duration<float, std::milli>(to->mark->time - from->mark->time).count();
  return cudaSuccess;
}
