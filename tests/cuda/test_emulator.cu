// tests/cuda/test_emulator.cu — the emulator does what a GPU does: warps, barriers, shared memory,
// atomic operations, streams and errors.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tests/cuda/emulated.h"

namespace diptych::test {
namespace {

using namespace diptych::cuda;

template <class F>
void in_every_order(F act) {
  for (const emu::Order order : {emu::Order::forward, emu::Order::reverse, emu::Order::random})
    for (const int resident : {1, 3}) {
      CAPTURE(static_cast<int>(order));
      CAPTURE(resident);
      emu::Settings settings = emu::settings();
      settings.order = order;
      settings.seed = 5;
      settings.resident = resident;
      const With with(settings);
      act();
    }
}

std::vector<float> numbers(size_t n) {
  std::vector<float> x(n);
  std::iota(x.begin(), x.end(), 1.0f);
  return x;
}

// -- warps --

constexpr int kResults = 8;

__global__ void shuffles(int64_t* y) {
  int64_t* const mine = y + (blockIdx.x * blockDim.x + threadIdx.x) * kResults;
  const int x = static_cast<int>(threadIdx.x) + 100;
  mine[0] = __shfl_sync(kAllLanes, x, 3);
  mine[1] = __shfl_sync(kAllLanes, int64_t{x} << 40, 35);  // lane 35 mod 32
  mine[2] = __shfl_up_sync(kAllLanes, x, 2);
  mine[3] = __shfl_down_sync(kAllLanes, x, 2);
  mine[4] = __shfl_xor_sync(kAllLanes, x, 5);
  mine[5] = __shfl_sync(kAllLanes, x, 1, 8);
  mine[6] = __shfl_down_sync(kAllLanes, x, 3, 4);
  mine[7] = __shfl_up_sync(kAllLanes, x, 3, 4);
}

std::vector<int64_t> expected_shuffles(int64_t thread) {
  const int64_t l = thread % 32, first = thread - l + 100, x = first + l;
  const auto at = [&](int64_t lane) { return first + lane; };
  return {at(3),     at(3) << 40,       l >= 2 ? at(l - 2) : x,     l < 30 ? at(l + 2) : x,
          at(l ^ 5), at(l / 8 * 8 + 1), l % 4 == 0 ? at(l + 3) : x, l % 4 == 3 ? at(l - 3) : x};
}

TEST_CASE("emulator: shuffles") {
  in_every_order([] {
    constexpr int64_t kBlocks = 4, kThreads = 64;
    const Array<int64_t> y(kBlocks * kThreads * kResults);
    CHECK(report_of(shuffles, Grid{kBlocks, kThreads}, y) == "");
    const std::vector<int64_t> values = y.values();
    for (int64_t i = 0; i < kBlocks * kThreads; ++i) {
      const std::vector<int64_t> expected = expected_shuffles(i % kThreads);
      CHECK(std::equal(expected.begin(), expected.end(), values.begin() + i * kResults));
    }
  });
}

// The two halves of a warp go different ways, each with a mask of its own.
__global__ void votes(unsigned* y) {
  const int x = static_cast<int>(threadIdx.x);
  unsigned* const mine = y + threadIdx.x * 5;
  mine[0] = __ballot_sync(kAllLanes, x % 3 == 0);
  mine[1] = static_cast<unsigned>(__any_sync(kAllLanes, x == 17));
  mine[2] = static_cast<unsigned>(__all_sync(kAllLanes, x < 31));
  if (x < 16) {
    mine[3] = __ballot_sync(0xffffu, x % 2 == 0);
    mine[4] = static_cast<unsigned>(__all_sync(0xffffu, x < 16));
  } else {
    mine[3] = __ballot_sync(0xffff0000u, x % 2 == 1);
    mine[4] = static_cast<unsigned>(__shfl_xor_sync(0xffff0000u, x, 1));
  }
}

TEST_CASE("emulator: votes, and halves of a warp that part") {
  in_every_order([] {
    const Array<unsigned> y(size_t{32} * 5);
    CHECK(report_of(votes, Grid{1, 32}, y) == "");
    const std::vector<unsigned> values = y.values();
    for (unsigned i = 0; i < 32; ++i) {
      CHECK(values[i * 5] == 0x49249249u);
      CHECK(values[i * 5 + 1] == 1);
      CHECK(values[i * 5 + 2] == 0);
      CHECK(values[i * 5 + 3] == (i < 16 ? 0x5555u : 0xaaaa0000u));
      CHECK(values[i * 5 + 4] == (i < 16 ? 1 : i ^ 1));
    }
  });
}

__global__ void reverse_in_warp(float* x) {
  DIPTYCH_SHARED(float[32], room);
  room[threadIdx.x] = x[threadIdx.x];
  __syncwarp();
  x[threadIdx.x] = room[31 - threadIdx.x];
}

TEST_CASE("emulator: __syncwarp hands shared memory over") {
  in_every_order([] {
    const Array<float> x(numbers(32));
    CHECK(report_of(reverse_in_warp, Grid{1, 32}, x) == "");
    CHECK(x.values().front() == 32);
    CHECK(x.values().back() == 1);
  });
}

// -- blocks --

__global__ void sum_rows(const float* x, int64_t width, float* y) {
  DIPTYCH_SHARED(float[8], room);
  DIPTYCH_DYNAMIC_SHARED(float, copy);
  const float* const row = x + blockIdx.x * width;
  for (int64_t i = threadIdx.x; i < width; i += blockDim.x) copy[i] = row[i];
  __syncthreads();
  float sum = 0;
  for (int64_t i = threadIdx.x; i < width; i += blockDim.x) sum += copy[width - 1 - i];
  sum = block_fold(sum, Sum{}, room);
  if (threadIdx.x == 0) y[blockIdx.x] = sum;
}

TEST_CASE("emulator: barriers, static and dynamic shared memory") {
  in_every_order([] {
    constexpr int64_t kRows = 7, kWidth = 20'000;  // more than 48 KiB
    const std::vector<float> ones(kRows * kWidth, 1.0f);
    const Array<float> x(ones), y(kRows);
    CHECK(report_of(sum_rows, Grid{kRows, 96, 1, 1, kWidth * sizeof(float)}, x, kWidth, y) == "");
    CHECK(y.values() == std::vector<float>(kRows, kWidth));
  });
}

__global__ void indices(int64_t* y) {
  const uint64_t block = (uint64_t{blockIdx.z} * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  y[block * blockDim.x + threadIdx.x] = static_cast<int64_t>(block * blockDim.x + threadIdx.x);
}

TEST_CASE("emulator: every thread of a grid runs once") {
  in_every_order([] {
    const Array<int64_t> y(size_t{5} * 3 * 2 * 33);
    CHECK(report_of(indices, Grid{5, 33, 3, 2}, y) == "");
    std::vector<int64_t> expected(5 * 3 * 2 * 33);
    std::iota(expected.begin(), expected.end(), 0);
    CHECK(y.values() == expected);
  });
}

__global__ void count(unsigned long long* sum, int* most, unsigned* first) {
  const int i = static_cast<int>(thread_number());
  atomicAdd(sum, static_cast<unsigned long long>(i));
  atomicMax(most, i % 50);
  atomicCAS(first, 0u, 1u);
  atomicExch(first + 1, 7u);
}

TEST_CASE("emulator: atomic operations") {
  in_every_order([] {
    const Array<unsigned long long> sum(std::vector<unsigned long long>{0});
    const Array<int> most(std::vector<int>{-1});
    const Array<unsigned> first(std::vector<unsigned>{0, 0});
    CHECK(report_of(count, Grid{4, 64}, sum, most, first) == "");
    CHECK(sum.values()[0] == 255 * 128);
    CHECK(most.values()[0] == 49);
    CHECK(first.values() == std::vector<unsigned>{1, 7});
  });
}

// -- streams --

__global__ void add_one(float* x) { x[threadIdx.x] += 1; }

cudaStream_t another_stream() {
  cudaStream_t made = nullptr;
  must(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking));
  return made;
}

void add_one_on(cudaStream_t on, float* x) {
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(1);
  config.blockDim = dim3(32);
  config.stream = on;
  must(cudaLaunchKernelEx(&config, add_one, x));
}

emu::Settings lazy() {
  emu::Settings settings = emu::settings();
  settings.lazy = true;
  return settings;
}

// x + 1 on one stream, copied to the host by another one, with or without waiting for the first.
float copied_by_another_stream(bool event_between) {
  const With with(lazy());
  const Array<float> x(numbers(32));
  cudaStream_t a = another_stream(), b = another_stream();
  cudaEvent_t added = nullptr;
  must(cudaEventCreateWithFlags(&added, cudaEventDisableTiming));
  add_one_on(a, x);
  must(cudaEventRecord(added, a));
  if (event_between) must(cudaStreamWaitEvent(b, added));
  float first = 0;
  must(cudaMemcpyAsync(&first, x, sizeof(float), cudaMemcpyDeviceToHost, b));
  must(cudaStreamSynchronize(b));
  must(cudaStreamDestroy(a));
  must(cudaStreamDestroy(b));
  must(cudaEventDestroy(added));
  return first;
}

TEST_CASE("emulator: lazy streams show a missing event") {
  CHECK(copied_by_another_stream(true) == 2);
  CHECK(copied_by_another_stream(false) == 1);
}

TEST_CASE("emulator: lazy streams read the host's memory as late as they may") {
  const With with(lazy());
  const Array<float> x(32);
  std::vector<float> source = numbers(32);
  must(cudaMemcpyAsync(x, source.data(), 128, cudaMemcpyHostToDevice, stream()));
  source[0] = 50;
  CHECK(x.values()[0] == 50);
}

TEST_CASE("emulator: what is queued runs when somebody waits, in order") {
  const With with(lazy());
  const Array<float> x(numbers(32));
  cudaEvent_t event = nullptr;
  must(cudaEventCreate(&event));
  float before = 0, after = 0;
  must(cudaMemcpyAsync(&before, x, 4, cudaMemcpyDeviceToHost, stream()));
  must(cudaEventRecord(event, stream()));
  add_one_on(stream(), x);
  must(cudaMemcpyAsync(&after, x, 4, cudaMemcpyDeviceToHost, stream()));
  CHECK(cudaEventQuery(event) == cudaErrorNotReady);
  must(cudaEventSynchronize(event));
  CHECK(cudaEventQuery(event) == cudaSuccess);
  CHECK(before == 1);
  CHECK(after == 0);
  must(cudaDeviceSynchronize());
  CHECK(after == 2);
  must(cudaEventDestroy(event));
}

// -- calls --

TEST_CASE("emulator: the record of calls") {
  const Array<float> x(numbers(32));
  emu::start_trace();
  launch("add_one", add_one, Grid{1, 32}, x);
  const std::vector<float> values = x.values();
  const std::vector<emu::Call> calls = emu::take_trace();
  REQUIRE(calls.size() == 3);
  CHECK(calls[0].kind == emu::Call::launch);
  CHECK(calls[0].name == "add_one");
  CHECK(calls[1].kind == emu::Call::copy);
  CHECK(calls[1].direction == cudaMemcpyDeviceToHost);
  CHECK(calls[1].bytes == 128);
  CHECK(calls[2].kind == emu::Call::wait);
}

TEST_CASE("emulator: device memory") {
  const size_t before = emu::allocated_bytes();
  {
    const Array<float> x(10);
    CHECK(emu::allocated_bytes() == before + 40);
    CHECK(emu::extent(x + 3) == 28);
    CHECK(emu::extent(x + 10) == 0);
    CHECK(std::isnan(x.values()[9]));
  }
  CHECK(emu::allocated_bytes() == before);
  void* block = nullptr;
  CHECK(cudaMalloc(&block, size_t{1} << 50) == cudaErrorMemoryAllocation);
  CHECK(cudaGetLastError() == cudaErrorMemoryAllocation);
  CHECK(cudaGetLastError() == cudaSuccess);
}

TEST_CASE("emulator: sizes that no GPU accepts") {
  const Array<float> x(numbers(32));
  for (const Grid& grid : {Grid{1, 1025}, Grid{1, 32, 65'536}, Grid{1, 32, 1, 1, 228 * 1024}})
    CHECK_THROWS_AS(launch("large", add_one, grid, x), Error);
  CHECK(x.values() == numbers(32));
}

}  // namespace
}  // namespace diptych::test
