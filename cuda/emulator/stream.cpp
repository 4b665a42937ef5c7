// cuda/emulator/stream.cpp — streams and events: work in order, run at once, or (lazily) only when
// somebody waits for it, as late as a GPU could.
#include <chrono>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <set>

#include "cuda/emulator/internal.h"

using namespace emu;
using Clock = std::chrono::steady_clock;

/// Its work is numbered 0, 1, 2, …; numbers below `begun` have run or are running.
struct CUstream_st {
  std::deque<std::function<void()>> work;
  uint64_t begun = 0;
  bool non_blocking = false;  ///< the null stream does not wait for it
  uint64_t end() const { return begun + work.size(); }
};

/// The moment when all work of `stream` below `end` has run.
struct CUevent_st {
  cudaStream_t stream = nullptr;
  uint64_t end = 0;
  std::shared_ptr<Clock::time_point> time = std::make_shared<Clock::time_point>();
  bool timed = true;
};

namespace emu {
namespace {

// Never destroyed.
auto& null_stream = *new CUstream_st;
auto& streams = *new std::set<cudaStream_t>;
auto& events = *new std::set<cudaEvent_t>;

void run_next(CUstream_st& stream) {
  const std::function<void()> work = std::move(stream.work.front());
  stream.work.pop_front();
  ++stream.begun;
  if (!sticky()) work();
}

void run_until(CUstream_st& stream, uint64_t end) {
  while (stream.begun < end && !stream.work.empty()) run_next(stream);
}

void run_until(cudaStream_t stream, uint64_t end) {
  if (stream == &null_stream || streams.count(stream)) run_until(*stream, end);
}

bool known(cudaStream_t stream) { return !stream || streams.count(stream); }

}  // namespace

void drain(bool non_blocking_too) {
  for (const cudaStream_t stream : streams)
    if (non_blocking_too || !stream->non_blocking) run_until(*stream, stream->end());
}

// What is queued on the null stream comes after all that blocks it, and is done at once.
cudaError_t queue(const char* name, cudaStream_t stream, std::function<void()> work) {
  const Lock lock(mutex());
  if (sticky()) return result(sticky());
  if (!known(stream)) {
    tell(std::string(name) + ": no such stream");
    return result(cudaErrorInvalidResourceHandle);
  }
  if (!stream) drain(false);
  CUstream_st& target = stream ? *stream : null_stream;
  target.work.push_back(std::move(work));
  if (!stream || !settings().lazy) run_until(target, target.end());
  return result(sticky());
}

// -- work --

namespace {

thread_local std::string next_name;

std::string take_name() {
  std::string name = "a kernel";
  if (!next_name.empty()) name.swap(next_name);
  next_name.clear();
  return name;
}

auto& dynamic_limits = *new std::map<const void*, size_t>;

// The rules of an H100.
bool allowed(const cudaLaunchConfig_t& config, const void* kernel) {
  const dim3 &grid = config.gridDim, &block = config.blockDim;
  const auto limit = dynamic_limits.find(kernel);
  const size_t most = limit == dynamic_limits.end() ? 48 * 1024 : limit->second;
  return grid.x && grid.y && grid.z && block.x && block.y && block.z && grid.x <= 0x7fffffffu &&
         grid.y <= 65535 && grid.z <= 65535 && block.z <= 64 &&
         uint64_t{block.x} * block.y * block.z <= 1024 && config.dynamicSmemBytes <= most &&
         config.numAttrs == 0;
}

void run_and_check(const Grid& grid) {
  const Open open;
  if (!run(grid)) sticky() = cudaErrorLaunchFailure;
  if (!guards_are_whole(grid.name)) sticky() = cudaErrorIllegalAddress;
}

}  // namespace

void name_launch(const char* name) { next_name = name; }

cudaError_t launch(const cudaLaunchConfig_t& config, const void* kernel,
                   std::function<void()> thread) {
  const Lock lock(mutex());
  const Grid grid{take_name(), config.gridDim, config.blockDim, config.dynamicSmemBytes,
                  std::move(thread)};
  if (!allowed(config, kernel)) {
    tell(grid.name + ": a grid, a block or shared memory of a size that no GPU accepts");
    return result(cudaErrorInvalidConfiguration);
  }
  trace({Call::launch, grid.name, 0, cudaMemcpyDefault});
  return queue(grid.name.c_str(), config.stream, [grid] { run_and_check(grid); });
}

cudaError_t enqueue(cudaStream_t stream, const char* name, std::function<void()> work) {
  const Lock lock(mutex());
  trace({Call::launch, name, 0, cudaMemcpyDefault});
  return queue(name, stream, [work = std::move(work), name = std::string(name)] {
    const Open open;
    work();
    if (!guards_are_whole(name)) sticky() = cudaErrorIllegalAddress;
  });
}

// -- copies --

namespace {

cudaMemcpyKind actual_kind(const void* to, const void* from) {
  constexpr cudaMemcpyKind kinds[2][2] = {{cudaMemcpyHostToHost, cudaMemcpyHostToDevice},
                                          {cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice}};
  return kinds[extent(from) > 0][extent(to) > 0];
}

// An empty string if a range of device memory lies within one block.
std::string complaint_about(const void* p, size_t bytes) {
  const size_t room = extent(p);
  if (!room && in_device_memory(p)) return "device memory that was freed or never allocated";
  if (room && room < bytes)
    return std::to_string(bytes) + " bytes where " + std::to_string(room) + " are left of a block";
  return "";
}

std::string complaint_about(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  if (kind != cudaMemcpyDefault && kind != actual_kind(to, from)) {
    static constexpr const char* kNames[] = {"host to host", "host to device", "device to host",
                                             "device to device"};
    return std::string("said to be ") + kNames[kind] + ", is " + kNames[actual_kind(to, from)];
  }
  const std::string about_source = complaint_about(from, bytes);
  return about_source.empty() ? complaint_about(to, bytes) : about_source;
}

cudaError_t refuse(const char* name, const std::string& complaint) {
  tell(std::string(name) + ": " + complaint);
  return result(cudaErrorInvalidValue);
}

cudaError_t copy(const char* name, void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                 cudaStream_t stream) {
  const Lock lock(mutex());
  if (bytes == 0) return result(sticky());
  const std::string complaint = complaint_about(to, from, bytes, kind);
  if (!complaint.empty()) return refuse(name, complaint);
  trace({Call::copy, name, bytes, actual_kind(to, from)});
  return queue(name, stream, [=] {
    const Open open;
    std::memmove(to, from, bytes);
  });
}

cudaError_t set(const char* name, void* to, int byte, size_t bytes, cudaStream_t stream) {
  const Lock lock(mutex());
  if (bytes == 0) return result(sticky());
  const std::string complaint = extent(to) ? complaint_about(to, bytes) : "not device memory";
  if (!complaint.empty()) return refuse(name, complaint);
  trace({Call::set, name, bytes, cudaMemcpyDefault});
  return queue(name, stream, [=] {
    const Open open;
    std::memset(to, byte, bytes);
  });
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
cudaError_t cudaMemset(void* to, int byte, size_t bytes) {
  return set("cudaMemset", to, byte, bytes, nullptr);
}
cudaError_t cudaMemsetAsync(void* to, int byte, size_t bytes, cudaStream_t stream) {
  return set("cudaMemsetAsync", to, byte, bytes, stream);
}

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute, int value) {
  const Lock lock(mutex());
  if (value < 0 || value > 227 * 1024) return result(cudaErrorInvalidValue);
  dynamic_limits[kernel] = static_cast<size_t>(value);
  return cudaSuccess;
}

// -- streams --

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  const Lock lock(mutex());
  streams.insert(*stream = new CUstream_st);
  (*stream)->non_blocking = flags & cudaStreamNonBlocking;
  return cudaSuccess;
}
cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const Lock lock(mutex());
  if (!streams.count(stream)) return result(cudaErrorInvalidResourceHandle);
  run_until(*stream, stream->end());
  streams.erase(stream);
  delete stream;
  return result(sticky());
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  const Lock lock(mutex());
  if (!known(stream)) return result(cudaErrorInvalidResourceHandle);
  trace({Call::wait, "cudaStreamSynchronize", 0, cudaMemcpyDefault});
  if (stream)
    run_until(*stream, stream->end());
  else
    drain(false);
  return result(sticky());
}

cudaError_t cudaDeviceSynchronize() {
  const Lock lock(mutex());
  trace({Call::wait, "cudaDeviceSynchronize", 0, cudaMemcpyDefault});
  drain(true);
  return result(sticky());
}

// A program may ask again and again until it is done: every time a little is.
cudaError_t cudaStreamQuery(cudaStream_t stream) {
  const Lock lock(mutex());
  if (!known(stream)) return result(cudaErrorInvalidResourceHandle);
  if (!stream || stream->work.empty()) return result(sticky());
  run_next(*stream);
  return cudaErrorNotReady;
}

// -- events --

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  const Lock lock(mutex());
  events.insert(*event = new CUevent_st);
  (*event)->timed = !(flags & cudaEventDisableTiming);
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  const Lock lock(mutex());
  if (!events.erase(event)) return result(cudaErrorInvalidResourceHandle);
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const Lock lock(mutex());
  if (!events.count(event)) return result(cudaErrorInvalidResourceHandle);
  event->time = std::make_shared<Clock::time_point>();
  const cudaError_t error =
      queue("cudaEventRecord", stream, [time = event->time] { *time = Clock::now(); });
  event->stream = stream ? stream : &null_stream;
  event->end = event->stream->end();
  return error;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  const Lock lock(mutex());
  if (!events.count(event)) return result(cudaErrorInvalidResourceHandle);
  return queue("cudaStreamWaitEvent", stream,
               [from = event->stream, end = event->end] { run_until(from, end); });
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  const Lock lock(mutex());
  if (!events.count(event)) return result(cudaErrorInvalidResourceHandle);
  trace({Call::wait, "cudaEventSynchronize", 0, cudaMemcpyDefault});
  run_until(event->stream, event->end);
  return result(sticky());
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  const Lock lock(mutex());
  if (!events.count(event)) return result(cudaErrorInvalidResourceHandle);
  if (!streams.count(event->stream) || event->stream->begun >= event->end) return result(sticky());
  run_next(*event->stream);
  return cudaErrorNotReady;
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t from, cudaEvent_t to) {
  const Lock lock(mutex());
  if (!events.count(from) || !events.count(to) || !from->timed || !to->timed)
    return result(cudaErrorInvalidResourceHandle);
  if (*from->time == Clock::time_point{} || *to->time == Clock::time_point{})
    return cudaErrorNotReady;
  *milliseconds = std::chrono::duration<float, std::milli>(*to->time - *from->time).count();
  return cudaSuccess;
}
