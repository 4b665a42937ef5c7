// tensor/ragged.cpp — layouts of packed sequences.
#include "tensor/ragged.h"

#include <algorithm>

#include "tensor/factory.h"
#include "tensor/kernels.h"

namespace diptych {
namespace {

Tensor upload(const std::vector<int64_t>& values, Device device) {
  return from_vector(values, {static_cast<int64_t>(values.size())}).to(device);
}

int64_t longest_of(const std::vector<int64_t>& ends) {
  int64_t longest = 0;
  for (size_t s = 1; s < ends.size(); ++s) longest = std::max(longest, ends[s] - ends[s - 1]);
  return longest;
}

std::vector<int64_t> numbers_of(const std::vector<int64_t>& ends) {
  std::vector<int64_t> all = ends;
  for (size_t s = 1; s < ends.size(); ++s)
    for (int64_t t = 0; t < ends[s] - ends[s - 1]; ++t) all.push_back(t);
  for (size_t s = 1; s < ends.size(); ++s) all.push_back(ends[s] - 1);
  return all;
}

// 0, T, …, B T, of the device's own making: a model calls for them in every pass. In f64, which has
// all whole numbers up to 2⁵³, more than any memory has rows.
Tensor multiples(int64_t B, int64_t T, Device device) {
  Tensor y = zeros({B + 1}, DType::f64, device);
  kernel::axpy(device, static_cast<double>(T), arange(B + 1, DType::f64, device), y);
  return y.to(DType::i64);
}

}  // namespace

Ragged::Ragged(std::vector<int64_t> ends, const Tensor& offsets, const Tensor& numbers)
    : layout_(std::make_shared<Layout>()) {
  layout_->longest = longest_of(ends);
  layout_->ends = std::move(ends);
  layout_->offsets = offsets;
  layout_->numbers = numbers;
}

Ragged Ragged::of_lengths(const std::vector<int64_t>& lengths, Device device) {
  std::vector<int64_t> ends{0};
  for (const int64_t T : lengths) {
    check(T >= 0 && is_addressable({T, 1}) && is_addressable({ends.back() + T}),
          "ragged: sequence ", ends.size() - 1, " has ", T, " rows");
    ends.push_back(ends.back() + T);
  }
  return Ragged(ends, upload(ends, device));
}

Ragged Ragged::equal(int64_t B, int64_t T, Device device) {
  check(is_addressable({B, T}) && is_addressable({B + 1, T}), "ragged: ", B, " sequences of ", T,
        " rows");
  std::vector<int64_t> ends{0};
  for (int64_t b = 1; b <= B; ++b) ends.push_back(b * T);
  const Tensor offsets = device == Device::cpu ? upload(ends, device) : multiples(B, T, device);
  return Ragged(std::move(ends), offsets);
}

Ragged Ragged::of_offsets(const Tensor& offsets) {
  check(offsets.dtype() == DType::i64 && offsets.rank() == 1 && offsets.dim(0) >= 1,
        "ragged: offsets must be i64 (B+1), got ", offsets.dtype(), ' ', offsets.shape());
  std::vector<int64_t> ends = offsets.to_vector<int64_t>();
  check(ends.front() == 0 && std::is_sorted(ends.begin(), ends.end()),
        "ragged: offsets must rise from 0");
  return Ragged(std::move(ends), offsets.clone());
}

int64_t Ragged::length(int64_t s) const {
  check(0 <= s && s < count(), "ragged: there is no sequence ", s, " among ", count());
  return ends()[static_cast<size_t>(s) + 1] - ends()[static_cast<size_t>(s)];
}

void Ragged::check_rows(const char* op) const {
  for (size_t s = 0; s + 1 < ends().size(); ++s)
    check(ends()[s] < ends()[s + 1], op, ": sequence ", s, " has no rows");
}

Tensor Ragged::first_rows(const char* op) const {
  check_rows(op);
  return offsets().slice(0, 0, count());
}

Tensor Ragged::last_rows(const char* op) const {
  check_rows(op);
  return numbers().slice(0, count() + 1 + rows(), 2 * count() + 1 + rows());
}

Tensor Ragged::positions() const { return numbers().slice(0, count() + 1, count() + 1 + rows()); }

Tensor Ragged::numbers() const {
  const std::lock_guard lock(layout_->mutex);
  Tensor& numbers = layout_->numbers;
  if (!numbers.defined()) numbers = upload(numbers_of(ends()), device());
  return numbers;
}

Ragged Ragged::at(const Tensor& numbers) const {
  return Ragged(ends(), numbers.slice(0, 0, count() + 1), numbers);
}

Ragged Ragged::slice(int64_t begin, int64_t end) const {
  check(0 <= begin && begin <= end && end <= count(), "ragged: [", begin, ", ", end,
        ") is out of range for ", count(), " sequences");
  std::vector<int64_t> part(ends().begin() + begin, ends().begin() + end + 1);
  const int64_t first = part[0];
  for (int64_t& row : part) row -= first;
  return Ragged(part, upload(part, device()));
}

Ragged Ragged::to(Device target) const {
  return target == device() ? *this : at(numbers().to(target));
}

}  // namespace diptych
