// tests/test_tensor.cpp — tensors and what they stand on: views, dtypes, 16-bit rounding, the
// allocator, Philox, parallel_for, printing, errors.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "tensor/allocator.h"
#include "tensor/device.h"
#include "tensor/factory.h"
#include "tensor/kernels.h"
#include "tensor/parallel.h"
#include "tensor/philox.h"

namespace diptych::test {
namespace {

using Values = std::vector<double>;

Values values(const Tensor& x) { return x.to_vector<double>(); }
Tensor counted(Shape shape) { return arange(shape.numel()).view(shape); }

/// All finite values of a 16-bit type without sign, ascending: the reference for rounding.
template <class Half>
std::vector<double> magnitudes(uint16_t infinity) {
  std::vector<double> all;
  for (uint16_t bits = 0; bits < infinity; ++bits) {
    Half h;
    h.bits = bits;
    all.push_back(static_cast<float>(h));
  }
  return all;
}

/// Bits of the nearest value, ties to even bits; `next` is the first value that does not exist.
uint16_t nearest(const std::vector<double>& all, double next, double x) {
  const auto above = std::lower_bound(all.begin(), all.end(), x);
  const auto i = static_cast<size_t>(above - all.begin());
  const double high = above == all.end() ? next : *above;
  if (i == 0 || high == x) return static_cast<uint16_t>(i);
  const double to_low = x - all[i - 1], to_high = high - x;
  const bool up = to_high < to_low || (to_high == to_low && i % 2 == 0);
  return static_cast<uint16_t>(up ? i : i - 1);
}

/// Every value, every midpoint between neighbours, and both neighbours of the midpoint in f32.
template <class Half, class ToBits>
void check_rounding(uint16_t infinity, double next, const ToBits& to_bits) {
  const std::vector<double> all = magnitudes<Half>(infinity);
  int64_t wrong = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    const double high = i + 1 < all.size() ? all[i + 1] : next;
    const auto middle = static_cast<float>((all[i] + high) / 2);
    for (float x : {static_cast<float>(all[i]), middle, std::nextafter(middle, 0.0f),
                    std::nextafter(middle, std::numeric_limits<float>::infinity())}) {
      const uint16_t want = nearest(all, next, x);
      wrong += to_bits(x) != want || to_bits(-x) != (want | 0x8000u) || Half(x).bits != want;
    }
  }
  CHECK(wrong == 0);
}

}  // namespace

TEST_CASE("half: all 65536 bit patterns survive the way to f32 and back") {
  int64_t wrong = 0;
  for (uint32_t i = 0; i < 65536; ++i) {
    const auto bits = static_cast<uint16_t>(i);
    f16 h;
    h.bits = bits;
    bf16 b;
    b.bits = bits;
    const float x = h, portable = detail::f16_bits_to_f32(bits), y = b;
    if (std::isnan(x)) {
      wrong += !std::isnan(portable) || !std::isnan(static_cast<float>(f16(x)));
    } else {
      wrong += x != portable || f16(x).bits != bits || detail::f32_to_f16_bits(x) != bits;
    }
    wrong += std::isnan(y) ? !std::isnan(static_cast<float>(bf16(y))) : bf16(y).bits != bits;
  }
  CHECK(wrong == 0);
}

TEST_CASE("half: f16 rounds to nearest, ties to even, by hardware and by hand") {
  check_rounding<f16>(0x7c00, 65536, detail::f32_to_f16_bits);
}

TEST_CASE("half: bf16 rounds to nearest, ties to even") {
  check_rounding<bf16>(0x7f80, 0x1p128, detail::f32_to_bf16_bits);
}

TEST_CASE("half: overflow and infinity become infinity, NaN stays NaN") {
  const float inf = std::numeric_limits<float>::infinity();
  for (float x : {65520.0f, 1e30f, inf}) CHECK(f16(x).bits == 0x7c00);
  CHECK(f16(65519.0f).bits == 0x7bff);
  CHECK(f16(-inf).bits == 0xfc00);
  CHECK(bf16(std::numeric_limits<float>::max()).bits == 0x7f80);
  CHECK(std::isnan(static_cast<float>(f16(NAN))));
  CHECK(std::isnan(static_cast<float>(bf16(std::bit_cast<float>(0x7f800001u)))));
}

TEST_CASE("tensor: views share storage, and a write through one is seen by all") {
  Tensor x = counted({2, 3, 4});
  CHECK(x.strides() == Shape{12, 4, 1});
  Tensor t = x.transpose(0, -1);
  CHECK(t.shape() == Shape{4, 3, 2});
  CHECK(t.strides() == Shape{1, 4, 12});
  CHECK(!t.is_contiguous());
  CHECK(values(t.slice(0, 1, 2)) == Values{1, 13, 5, 17, 9, 21});
  const uint64_t before = x.version();
  t.slice(0, 1, 2).fill_(0);
  CHECK(x.version() == before + 1);
  CHECK(t.same_storage(x));
  CHECK(values(x.slice(2, 1, 2)) == Values(6, 0));
  CHECK(values(x.slice(2, 0, 1)) == Values{0, 4, 8, 12, 16, 20});
}

TEST_CASE("tensor: expand repeats without copying") {
  const Tensor x = counted({3, 1});
  const Tensor y = x.expand({2, 3, 2});
  CHECK(y.strides() == Shape{0, 1, 0});
  CHECK(values(y) == Values{0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2});
  CHECK(y.same_storage(x));
  CHECK_THROWS_WITH_AS(x.expand({2, 2}), "expand: cannot expand (3, 1) to (2, 2)", Error);
}

TEST_CASE("tensor: view infers one extent and refuses what is not contiguous") {
  const Tensor x = counted({4, 6});
  CHECK(x.view({-1, 8}).shape() == Shape{3, 8});
  CHECK_THROWS_AS(x.view({5, -1}), Error);
  CHECK_THROWS_AS(x.view({-1, -1}), Error);
  CHECK_THROWS_AS(x.view({25}), Error);
  CHECK_THROWS_AS(x.transpose(0, 1).view({24}), Error);
  CHECK(x.transpose(0, 1).contiguous().view({24}).rank() == 1);
}

TEST_CASE("tensor: contiguous returns the handle itself where nothing needs to move") {
  const Tensor x = counted({2, 3});
  CHECK(x.contiguous().same_storage(x));
  CHECK(!x.transpose(0, 1).contiguous().same_storage(x));
  CHECK(!x.clone().same_storage(x));
  CHECK(x.slice(0, 1, 2).is_contiguous());
  CHECK(empty({3, 0, 2}).transpose(0, 2).is_contiguous());
}

TEST_CASE("tensor: to converts, and returns the handle itself where nothing changes") {
  const Tensor x = from_vector<float>({1.0f, 2.0009765625f, -65520.0f, 0.1f}, {4});
  CHECK(x.to(DType::f32).same_storage(x));
  CHECK(values(x.to(DType::f16)) == Values{1, 2, -INFINITY, 0.0999755859375});
  CHECK(values(x.to(DType::bf16)) == Values{1, 2, -65536, 0.10009765625});
  CHECK(values(x.to(DType::i64)) == Values{1, 2, -65520, 0});
  CHECK(x.to(DType::f64).dtype() == DType::f64);
}

TEST_CASE("tensor: item, dim and data check what they are asked for") {
  const Tensor x = full({1, 1}, 2.5);
  CHECK(x.item() == 2.5);
  CHECK(x.dim(-1) == 1);
  CHECK(full({}, 3).item() == 3);
  CHECK_THROWS_WITH_AS(counted({2}).item(), "item: needs a tensor of one element, got shape (2)",
                       Error);
  CHECK_THROWS_AS(x.dim(2), Error);
  CHECK_THROWS_WITH_AS(x.data<double>(), "data: asked for f64, the tensor is f32", Error);
  CHECK_THROWS_AS(x.slice(0, 0, 2), Error);
  CHECK_THROWS_AS(Tensor().shape(), Error);
  CHECK_THROWS_AS(empty({-1}), Error);
  CHECK_THROWS_AS(empty({int64_t{1} << 40, int64_t{1} << 40}), Error);
  CHECK_THROWS_AS(from_vector<float>({1, 2}, {3}), Error);
  CHECK_THROWS_AS((Shape{1, 1, 1, 1, 1, 1, 1}), Error);
}

TEST_CASE("tensor: set_data is seen through every handle; detach is a handle of its own") {
  Tensor x = zeros({2}), other = x, detached = x.detach();
  other.set_data(full({2}, 7, DType::bf16));
  CHECK(x.dtype() == DType::bf16);
  CHECK(values(x) == Values{7, 7});
  CHECK(detached.dtype() == DType::f32);
  CHECK_THROWS_AS(x.set_data(zeros({3})), Error);
}

TEST_CASE("storage: memory of somebody else is handed back when its last view is gone") {
  std::vector<float> memory = {1, 2, 3, 4};
  int released = 0;
  const auto release = [&](void* data) {
    CHECK(data == memory.data());
    ++released;
  };
  {
    auto storage = std::make_shared<Storage>(memory.data(), 16, Device::cpu, release);
    Tensor x(std::move(storage), DType::f32, {2, 2}, {2, 1}, 0);
    Tensor column = x.slice(1, 1, 2);
    x = Tensor();
    column.fill_(7);
    CHECK(released == 0);
  }
  CHECK(released == 1);
  CHECK(memory == std::vector<float>{1, 7, 3, 7});
  CHECK_THROWS_WITH_AS(Storage(memory.data(), -1, Device::cpu, release),
                       doctest::Contains("storage: -1 bytes"), Error);
  CHECK(released == 2);
  CHECK_THROWS_AS(Storage(nullptr, 8, Device::cpu, nullptr), Error);
}

TEST_CASE("device: a build without a backend says so by the kernel's name") {
  if (available(Device::cuda)) return;
  const Tensor x = zeros({2});
  Tensor y = zeros({2});
  CHECK_THROWS_WITH_AS(kernel::softmax(Device::cuda, x, y),
                       "softmax: this build has no cuda backend", Error);
  CHECK_THROWS_WITH_AS(zeros({2}, DType::f32, Device::cuda),
                       "allocator: this build has no cuda backend", Error);
}

TEST_CASE("tensor: broadcast_shape follows NumPy's rule") {
  CHECK(broadcast_shape("add", {3, 1}, {2, 1, 4}) == Shape{2, 3, 4});
  CHECK(broadcast_shape("add", {}, {5}) == Shape{5});
  CHECK(broadcast_shape("add", {0}, {1}) == Shape{0});
  CHECK_THROWS_WITH_AS(broadcast_shape("add", {3}, {4}),
                       "add: shapes do not broadcast: a (3), b (4)", Error);
}

TEST_CASE("tensor: printing shortens long axes") {
  CHECK(to_string(counted({2, 3})) == "i64 (2, 3) cpu\n[[0, 1, 2],\n [3, 4, 5]]");
  CHECK(to_string(arange(100)) == "i64 (100) cpu\n[0, 1, 2, …, 97, 98, 99]");
  CHECK(to_string(full({}, 0.5)) == "f32 () cpu\n0.5");
  CHECK(to_string(empty({0, 2})) == "f32 (0, 2) cpu\n[]");
  CHECK(to_string(Tensor()) == "undefined tensor");
}

TEST_CASE("allocator: a freed block serves the next request of its size, and statistics add up") {
  static int64_t raw = 0;
  CachingAllocator memory(
      "test", [](size_t bytes) { return ++raw, std::malloc(bytes); },
      [](void* block) { --raw, std::free(block); });
  void* a = memory.allocate(1000);
  void* b = memory.allocate(100);
  CHECK(memory.stats().raw_allocations == 2);
  const int64_t live = memory.stats().live_bytes;
  CHECK(live == 1100);  // what was asked for: blocks may be larger
  CHECK(memory.stats().reserved_bytes >= live);
  memory.release(a);
  CHECK(memory.stats().live_bytes == 100);
  CHECK(memory.stats().peak_bytes == live);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  CHECK(memory.allocate(999) == a);
  CHECK(memory.stats().raw_allocations == 2);
  memory.release(a);
#endif
  memory.release(b);
  memory.trim();
  CHECK(raw == 0);
  CHECK(memory.stats().reserved_bytes == 0);
  memory.reset_peak();
  CHECK(memory.stats().peak_bytes == 0);
  CHECK(memory.allocate(0) == nullptr);
  memory.release(nullptr);
}

TEST_CASE("allocator: running out of memory is an Error that says how much was asked for") {
  CachingAllocator none(
      "test", [](size_t) -> void* { return nullptr; }, [](void*) {});
  CHECK_THROWS_WITH_AS(none.allocate(64 << 20),
                       "test allocator: out of memory: asked for 64 MiB with 0 MiB in use; a "
                       "smaller batch may fit",
                       Error);
}

TEST_CASE("philox: the known answer of the Random123 library") {
  CHECK(Philox::block({0, 0, 0, 0}, {0, 0}) ==
        Philox::Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(Philox::block({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}) ==
        Philox::Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
}

TEST_CASE("philox: below stays below and reaches every value") {
  PhiloxStream random(1, 2);
  std::vector<int> seen(7);
  for (int i = 0; i < 1000; ++i) ++seen[static_cast<size_t>(random.below(7))];
  for (int count : seen) CHECK(count > 90);
}

}  // namespace diptych::test
