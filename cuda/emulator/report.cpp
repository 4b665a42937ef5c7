// cuda/emulator/report.cpp — settings, errors and reports, the record of calls, and what is said
// when a program touches memory that is not there.
#include <signal.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "cuda/emulator/internal.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace emu {
namespace {

auto& last_report = *new std::string;
thread_local cudaError_t last_error = cudaSuccess;
bool tracing = false;
auto& calls = *new std::vector<Call>;

std::string environment(const char* name, const char* otherwise) {
  const char* const value = std::getenv(name);
  return value && *value ? value : otherwise;
}

Settings from_environment() {
  const std::string order = environment("DIPTYCH_EMU_ORDER", "forward");
  const std::string streams = environment("DIPTYCH_EMU_STREAMS", "eager");
  const bool random = order.starts_with("random:");
  if ((!random && order != "forward" && order != "reverse") ||
      (streams != "eager" && streams != "lazy")) {
    std::fprintf(stderr,
                 "emulator: DIPTYCH_EMU_ORDER=forward|reverse|random:SEED, not %s; "
                 "DIPTYCH_EMU_STREAMS=eager|lazy, not %s\n",
                 order.c_str(), streams.c_str());
    std::exit(1);
  }
  return {random               ? Order::random
          : order == "reverse" ? Order::reverse
                               : Order::forward,
          random ? std::strtoull(order.c_str() + 7, nullptr, 10) : 0,
          std::atoi(environment("DIPTYCH_EMU_RESIDENT", "1").c_str()),
          environment("DIPTYCH_EMU_PROTECT", "0") == "1", streams == "lazy"};
}

}  // namespace

Settings& settings() {
  static Settings chosen = from_environment();
  return chosen;
}

std::recursive_mutex& mutex() {
  static std::recursive_mutex one;
  return one;
}

// -- errors and reports --

void tell(const std::string& text) {
  const Lock lock(mutex());
  last_report = text;
  std::fprintf(stderr, "emulator: %s\n", text.c_str());
}

std::string report() {
  const Lock lock(mutex());
  return last_report;
}

cudaError_t& sticky() {
  static cudaError_t error = cudaSuccess;
  return error;
}

cudaError_t result(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

void reset() {
  const Lock lock(mutex());
  sticky() = last_error = cudaSuccess;
  last_report.clear();
}

// -- the record of calls --

void trace(Call call) {
  if (tracing) calls.push_back(std::move(call));
}

void start_trace() {
  const Lock lock(mutex());
  calls.clear();
  tracing = true;
}

std::vector<Call> take_trace() {
  const Lock lock(mutex());
  tracing = false;
  return std::move(calls);
}

// -- faults --

Text text(const char* format, ...) {
  Text made;
  std::va_list values;
  va_start(values, format);
  std::vsnprintf(made.at, sizeof(made.at), format, values);
  va_end(values);
  return made;
}

namespace {
void say(const Text& text) {
  if (write(STDERR_FILENO, text.at, std::strlen(text.at)) < 0) _exit(1);
}
}  // namespace

#if defined(__SANITIZE_ADDRESS__)
void watch_for_faults() {
  __sanitizer_set_death_callback([] {
    if (a_kernel_runs()) say(text("emulator: this was in %s\n", running().at));
  });
}
#else
namespace {

struct sigaction previous;

// Runs on a stack of its own, since the thread's may be used up; then the fault happens again, and
// whoever handled it before does.
void on_fault(int signal, siginfo_t* info, void*) {
  const void* const p = info->si_addr;
  const char* const what = below_running_stack(p) ? "its stack is used up"
                           : in_device_memory(p)  ? "no access to device memory, or not any more"
                                                  : "no memory there";
  say(text("emulator: %s: address %p: %s\n", running().at, p, what));
  sigaction(signal, &previous, nullptr);
}

void use_own_stack() {
  static thread_local char stack[64 * 1024];
  stack_t now{};
  sigaltstack(nullptr, &now);
  if (!(now.ss_flags & SS_DISABLE)) return;
  now = {};
  now.ss_sp = stack;
  now.ss_size = sizeof(stack);
  sigaltstack(&now, nullptr);
}

}  // namespace

// Again at every launch: doctest puts its own handler in place for every test.
void watch_for_faults() {
  use_own_stack();
  struct sigaction now {};
  sigaction(SIGSEGV, nullptr, &now);
  if (now.sa_sigaction == &on_fault) return;
  previous = now;
  now = {};
  now.sa_sigaction = &on_fault;
  now.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigaction(SIGSEGV, &now, nullptr);
}
#endif

}  // namespace emu

using namespace emu;

// -- errors and the device, as the runtime tells them --

cudaError_t cudaGetLastError() {
  const cudaError_t error = last_error;
  last_error = sticky();
  return error;
}
cudaError_t cudaPeekAtLastError() { return last_error; }

namespace {
struct Row {
  cudaError_t error;
  const char *name, *text;
};
#define ROW(error, text) \
  Row { error, #error, text }
constexpr Row kErrors[] = {
    ROW(cudaSuccess, "no error"),
    ROW(cudaErrorInvalidValue, "invalid argument"),
    ROW(cudaErrorMemoryAllocation, "out of memory"),
    ROW(cudaErrorInvalidConfiguration, "invalid configuration argument"),
    ROW(cudaErrorInsufficientDriver,
        "CUDA driver version is insufficient for CUDA runtime version"),
    ROW(cudaErrorInvalidDevice, "invalid device ordinal"),
    ROW(cudaErrorInvalidResourceHandle, "invalid resource handle"),
    ROW(cudaErrorNotReady, "device not ready"),
    ROW(cudaErrorIllegalAddress, "an illegal memory access was encountered"),
    ROW(cudaErrorLaunchFailure, "unspecified launch failure"),
};

Row row_of(cudaError_t error) {
  for (const Row& row : kErrors)
    if (row.error == error) return row;
  return {error, "unrecognized error code", "unrecognized error code"};
}
}  // namespace

const char* cudaGetErrorName(cudaError_t error) { return row_of(error).name; }
const char* cudaGetErrorString(cudaError_t error) { return row_of(error).text; }

cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}

// DIPTYCH_EMU_DEVICES=0: as on a machine without a driver, where *count is not written.
cudaError_t cudaGetDeviceCount(int* count) {
  if (environment("DIPTYCH_EMU_DEVICES", "1") == "0") return result(cudaErrorInsufficientDriver);
  *count = 1;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  return result(device == 0 ? cudaSuccess : cudaErrorInvalidDevice);
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (device != 0) return result(cudaErrorInvalidDevice);
  *properties = {};
  std::strcpy(properties->name, "emulated GPU");
  cudaMemGetInfo(&properties->totalGlobalMem, &properties->totalGlobalMem);
  properties->sharedMemPerBlock = 48 * 1024;
  properties->sharedMemPerBlockOptin = 227 * 1024;
  properties->warpSize = 32;
  properties->multiProcessorCount = 1;
  properties->major = 9;
  return cudaSuccess;
}
