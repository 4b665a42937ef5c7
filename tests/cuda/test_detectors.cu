// tests/cuda/test_detectors.cu — the emulator's detectors detect: kernels and programs with one
// error each, and what is said of it.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "tests/cuda/emulated.h"

namespace diptych::test {
namespace {

using namespace diptych::cuda;

constexpr int kN = 64;

std::string here(int line) { return "test_detectors.cu:" + std::to_string(line); }

// -- barriers and warps --

constexpr int kInOneBranch = __LINE__ + 4;
__global__ void parted(float* x) {
  x[threadIdx.x] = 0;
  if (threadIdx.x < 32)
    __syncthreads();
  else
    __syncthreads();
}

__global__ void barrier_after_return(float* x) {
  if (x[threadIdx.x] < 0 || threadIdx.x == 5) return;
  __syncthreads();
}

__global__ void shuffle_after_return(float* x) {
  if (threadIdx.x == 5) return;
  x[threadIdx.x] = warp_fold(x[threadIdx.x], Sum{});
}

__global__ void outside_own_mask(float* x) {
  x[threadIdx.x] = static_cast<float>(__ballot_sync(0xffffu, 1));
}

__global__ void partner_outside_mask(float* x) {
  if (threadIdx.x < 16) x[threadIdx.x] = __shfl_xor_sync(0xffffu, x[threadIdx.x], 16);
}

__global__ void different_calls(float* x) {
  if (threadIdx.x % 2)
    x[threadIdx.x] = __shfl_sync(kAllLanes, x[threadIdx.x], 0);
  else
    x[threadIdx.x] = __shfl_xor_sync(kAllLanes, x[threadIdx.x], 1);
}

__global__ void deadlock(float* x) {
  if (threadIdx.x < 16)
    x[threadIdx.x] = __shfl_sync(kAllLanes, x[threadIdx.x], 0);
  else
    __syncthreads();
}

TEST_CASE("detectors: barriers and warp operations that not all reach") {
  const With with(emu::settings());
  const Array<float> x(std::vector<float>(kN, 1.0f));
  const auto report = [&](void (*kernel)(float*)) { return report_of(kernel, Grid{1, kN}, x); };
  const std::string text = report(parted);
  CHECK(has(text, "planted: block (0, 0, 0), thread ("));
  CHECK(has(text, here(kInOneBranch)));
  CHECK(has(text, here(kInOneBranch + 2)));
  CHECK(has(report(barrier_after_return), "__syncthreads"));
  CHECK(has(report(shuffle_after_return), "__shfl_xor_sync"));
  CHECK(has(report(outside_own_mask), "called by lane"));
  CHECK(has(report(partner_outside_mask), "outside its mask"));
  CHECK(has(report(different_calls), "waits in __shfl"));
  CHECK(has(report(deadlock), "deadlock: thread (0, 0, 0) waits in __shfl_sync at"));
}

TEST_CASE("detectors: a failed kernel's error stays") {
  emu::Settings settings = emu::settings();
  settings.lazy = false;
  const With with(settings);
  const Array<float> x(std::vector<float>(kN, 1.0f));
  CHECK_THROWS_WITH_AS(launch("my kernel", deadlock, Grid{1, kN}, x),
                       doctest::Contains("my kernel: CUDA: unspecified launch failure"), Error);
  void* block = nullptr;
  CHECK(cudaMalloc(&block, 4) == cudaErrorLaunchFailure);
  CHECK(cudaStreamSynchronize(stream()) == cudaErrorLaunchFailure);
  CHECK(cudaGetLastError() == cudaErrorLaunchFailure);
  CHECK(cudaGetLastError() == cudaErrorLaunchFailure);
  emu::reset();
  CHECK(cudaGetLastError() == cudaSuccess);
  CHECK(x.values()[0] == 1);
}

// -- memory --

__global__ void write_at(float* x, int64_t i) {
  if (threadIdx.x == 3) x[i] = 0;
}
__global__ void read_at(const float* x, int64_t i, float* y) { y[0] = x[i]; }

__global__ void shared_overrun(float* x) {
  DIPTYCH_SHARED(float[16], room);
  float* const start = room;
  start[threadIdx.x / 4 + (x[0] > 0)] = 1;
}
__global__ void dynamic_overrun(float* x) {
  DIPTYCH_DYNAMIC_SHARED(float, room);
  room[threadIdx.x + (x[0] > 0)] = 1;
}
__global__ void never_written(float* x) {
  DIPTYCH_SHARED(float[kN], room);
  x[threadIdx.x] = room[threadIdx.x];
}
__global__ void too_much_shared(float* x) {
  DIPTYCH_SHARED(double[6200], room);
  x[0] = static_cast<float>(room[threadIdx.x]);
}

const Grid kDynamic{1, kN, 1, 1, kN * sizeof(float)};

TEST_CASE("detectors: memory of the device") {
  const With with(emu::settings());
  const Array<float> x(std::vector<float>(kN, 1.0f)), y(1);
  CHECK(report_of(never_written, Grid{1, kN}, x) == "");
  CHECK(std::isnan(x.values()[0]));
  CHECK(has(report_of(too_much_shared, Grid{1, kN}, x), "\"room\" is beyond 48 KiB"));
  if (kAsan || kTsan) return;
  emu::reset();
  const Array<float> ones(std::vector<float>(kN, 1.0f));
  CHECK(has(report_of(write_at, Grid{1, kN}, ones, kN), "planted: wrote past the end of a block"));
  emu::reset();
  CHECK(report_of(read_at, Grid{1, 32}, y, 1, x) == "");
  CHECK(std::isnan(x.values()[0]));
}

TEST_CASE("detectors: writes before a block, and beside shared memory" *
          doctest::skip(kAsan || kTsan)) {
  const With with(emu::settings());
  const Array<float> x(std::vector<float>(kN, 1.0f)), y(std::vector<float>(kN, 1.0f));
  CHECK(has(report_of(write_at, Grid{1, kN}, y, -1), "planted: wrote before a block"));
  CHECK(has(report_of(shared_overrun, Grid{1, kN}, x), "beside its shared memory \"room\""));
  CHECK(has(report_of(dynamic_overrun, kDynamic, x), "\"dynamic shared memory\""));
}

TEST_CASE("detectors: AddressSanitizer names the line" * doctest::skip(!kAsan)) {
  const Array<float> x(std::vector<float>(kN, 1.0f));
  const auto words = [&](auto kernel, const Grid& grid, auto... more) {
    return last_words([&] { report_of(kernel, grid, x, more...); });
  };
  std::string text = words(write_at, Grid{1, kN}, kN);
  CHECK(has(text, "heap-buffer-overflow"));
  CHECK(has(text, "test_detectors.cu"));
  CHECK(has(text, "planted: block (0, 0, 0), thread (3, 0, 0)"));
  text = words(dynamic_overrun, kDynamic);
  CHECK(has(text, "use-after-poison"));
  CHECK(has(text, "thread (63, 0, 0)"));
  CHECK(has(words(shared_overrun, Grid{1, kN}), "use-after-poison"));
}

// -- the end of the process --

__global__ void far_away(float* x) { x[int64_t{1} << 44] = 0; }

float deeper(float x) {
  volatile float room[1000];
  room[static_cast<int>(x) % 1000] = x;
  return x > 1e9f ? x : deeper(x + 1) + room[0];
}
__global__ void endless(float* x) { x[threadIdx.x] = deeper(x[threadIdx.x]); }

TEST_CASE("detectors: a process that touches what is not there says where" *
          doctest::skip(kAsan || kTsan)) {
  const Array<float> x(std::vector<float>(kN, 1.0f));
  const auto words = [&](auto kernel) {
    return last_words([&] { report_of(kernel, Grid{1, kN}, x); });
  };
  std::string text = words(far_away);
  CHECK(has(text, "planted: block (0, 0, 0), thread ("));
  CHECK(has(text, "no memory there"));
  CHECK(has(text, "signal 11"));
  CHECK(has(words(endless), "its stack is used up"));
}

TEST_CASE("detectors: the host touches device memory, anybody what was freed" *
          doctest::skip(kAsan || kTsan)) {
  emu::Settings settings = emu::settings();
  settings.protect = true;
  const With with(settings);
  const Array<float> x(std::vector<float>(kN, 1.0f)), y(1);
  CHECK(x.values()[5] == 1);
  CHECK(has(last_words([&] { x[5] = 2; }), "the host: address"));
  CHECK(has(last_words([&] {
              emu::settings().protect = false;
              must(cudaFree(y));
              report_of(read_at, Grid{1, 32}, y, 0, x);
            }),
            "no access to device memory"));
}

// -- calls --

TEST_CASE("detectors: copies that a GPU could not do") {
  const With with(emu::settings());
  const Array<float> x(std::vector<float>(kN, 1.0f));
  std::vector<float> here(2 * kN);
  const auto copy = [](void* to, const void* from, size_t n, cudaMemcpyKind kind) {
    const cudaError_t status = cudaMemcpyAsync(to, from, n * sizeof(float), kind, stream());
    CHECK(status == cudaErrorInvalidValue);
    return emu::report();
  };
  CHECK(has(copy(here.data(), x, kN, cudaMemcpyHostToDevice), "is device to host"));
  CHECK(has(copy(x, here.data(), kN, cudaMemcpyDeviceToHost), "is host to device"));
  CHECK(has(copy(x, here.data(), kN + 1, cudaMemcpyHostToDevice), "260 bytes where 256 are left"));
  CHECK(cudaFree(here.data()) == cudaErrorInvalidValue);
  CHECK(cudaMemsetAsync(here.data(), 0, 4, stream()) == cudaErrorInvalidValue);
}

// -- races --

__global__ void no_barrier(float* x) {
  DIPTYCH_SHARED(float[kN], room);
  room[threadIdx.x] = x[threadIdx.x];
  x[threadIdx.x] = room[kN - 1 - threadIdx.x];
}
__global__ void one_barrier(float* x) {
  DIPTYCH_SHARED(float[kN], room);
  for (int i = 0; i < 2; ++i) {
    room[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    x[threadIdx.x] = room[kN - 1 - threadIdx.x];
  }
}
__global__ void shuffle_as_fence(float* x) {
  DIPTYCH_SHARED(float[kN], room);
  room[threadIdx.x] = x[threadIdx.x];
  x[threadIdx.x] = __shfl_xor_sync(kAllLanes, x[threadIdx.x], 1) + room[threadIdx.x ^ 1];
}
__global__ void not_atomic(float* x) {
  if (threadIdx.x == 0) x[0] += 1;
}
__global__ void two_barriers(float* x) {
  DIPTYCH_SHARED(float[kN], room);
  for (int i = 0; i < 3; ++i) {
    room[threadIdx.x] = x[blockIdx.x * kN + threadIdx.x];
    __syncthreads();
    x[blockIdx.x * kN + threadIdx.x] = room[kN - 1 - threadIdx.x];
    __syncthreads();
  }
}

TEST_CASE("detectors: a missing barrier shows in one order or the other") {
  if (kTsan) return;
  emu::Settings settings = emu::settings();
  bool wrong = false;
  for (const emu::Order order : {emu::Order::forward, emu::Order::reverse}) {
    settings.order = order;
    const With with(settings);
    const Array<float> x(std::vector<float>(kN, 1.0f));
    CHECK(report_of(no_barrier, Grid{1, kN}, x) == "");
    for (const float value : x.values()) wrong |= std::isnan(value);
  }
  CHECK(wrong);
}

void run_alone(void (*kernel)(float*)) {
  const Array<float> x(std::vector<float>(4 * kN, 1.0f));
  CHECK(report_of(kernel, Grid{4, kN}, x) == "");
}
TEST_CASE("alone: no_barrier" * doctest::skip()) { run_alone(no_barrier); }
TEST_CASE("alone: one_barrier" * doctest::skip()) { run_alone(one_barrier); }
TEST_CASE("alone: two_barriers" * doctest::skip()) { run_alone(two_barriers); }
TEST_CASE("alone: shuffle_as_fence" * doctest::skip()) { run_alone(shuffle_as_fence); }
TEST_CASE("alone: not_atomic" * doctest::skip()) { run_alone(not_atomic); }

TEST_CASE("detectors: ThreadSanitizer reports every race, and no correct kernel" *
          doctest::skip(!kTsan)) {
  const auto reported = [](const char* name, const char* order, const char* resident) {
    return has(last_words_of_test(std::string("alone: ") + name, order, resident), "data race");
  };
  for (const char* order : {"forward", "random:1"}) {
    CAPTURE(order);
    for (const char* name : {"no_barrier", "one_barrier", "shuffle_as_fence"}) {
      CAPTURE(name);
      CHECK(reported(name, order, "1"));
    }
    CHECK_FALSE(reported("two_barriers", order, "2"));
    CHECK(reported("not_atomic", order, "2"));
    CHECK_FALSE(reported("not_atomic", order, "1"));  // block after block: this needs two at once
  }
}

}  // namespace
}  // namespace diptych::test
