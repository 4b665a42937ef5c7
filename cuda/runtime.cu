// cuda/runtime.cu — the device: whether there is one, its stream, what it has to report.
#include "cuda/runtime.h"
#include "tensor/device.h"

namespace diptych::cuda {
namespace {

constexpr int kLimitBits = 56;

// Page-locked and mapped: kernels write it, the host reads it, nothing is copied.
IndexReport* make_index_report() {
  void* report = nullptr;
  require(cudaHostAlloc(&report, sizeof(IndexReport), cudaHostAllocMapped), "index report");
  *static_cast<IndexReport*>(report) = 0;
  return static_cast<IndexReport*>(report);
}

IndexReport* host_index_report() {
  static IndexReport* const report = make_index_report();
  return report;
}

IndexReport* device_index_report() {
  void* report = nullptr;
  require(cudaHostGetDevicePointer(&report, host_index_report(), 0), "index report");
  return static_cast<IndexReport*>(report);
}

const char* name(Indexed op) {
  constexpr const char* kNames[] = {"", "gather_rows", "scatter_add_rows", "cross_entropy"};
  return kNames[static_cast<int>(op)];
}

cudaStream_t make_stream() {
  check(available(), "cuda: no CUDA device: ", why_not());
  cudaStream_t stream = nullptr;
  require(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "stream");
  return stream;
}

int device_count() {
  int count = 0;  // untouched where there is no driver
  if (cudaGetDeviceCount(&count) == cudaSuccess) return count;
  cudaGetLastError();  // or the next call would report it again
  return 0;
}

}  // namespace

void require(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  cudaGetLastError();
  fail(what, ": CUDA: ", cudaGetErrorString(status), " (", cudaGetErrorName(status), ')');
}

bool available() {
  static const bool there = device_count() > 0;
  return there;
}

const char* why_not() { return "the NVIDIA driver is not there, or sees no GPU (nvidia-smi)"; }

cudaStream_t stream() {
  static const cudaStream_t made = make_stream();
  return made;
}

IndexReport* index_report() {
  static IndexReport* const seen_by_kernels = device_index_report();
  return seen_by_kernels;
}

void check_index_report() {
  IndexReport& report = *host_index_report();
  if (report == 0) return;
  const auto op = static_cast<Indexed>(report >> kLimitBits);
  const auto limit = static_cast<int64_t>(report & ((IndexReport{1} << kLimitBits) - 1));
  report = 0;
  fail(name(op), ": an index is out of range [0, ", limit, ")");
}

void synchronize() {
  require(cudaStreamSynchronize(stream()), "synchronize");
  check_index_report();
}

}  // namespace diptych::cuda
