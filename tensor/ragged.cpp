// tensor/ragged.cpp — layouts of packed sequences.
#include "tensor/ragged.h"

#include <algorithm>

#include "tensor/factory.h"

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

}  // namespace

Ragged::Ragged(std::vector<int64_t> ends, Device device) {
  const int64_t longest = longest_of(ends);
  const Tensor offsets = upload(ends, device);
  layout_ = std::make_shared<const Layout>(Layout{std::move(ends), longest, offsets});
}

Ragged Ragged::of_lengths(const std::vector<int64_t>& lengths, Device device) {
  std::vector<int64_t> ends{0};
  for (const int64_t T : lengths) {
    check(T >= 0 && is_addressable({T, 1}) && is_addressable({ends.back() + T}),
          "ragged: sequence ", ends.size() - 1, " has ", T, " rows");
    ends.push_back(ends.back() + T);
  }
  return Ragged(std::move(ends), device);
}

Ragged Ragged::equal(int64_t B, int64_t T, Device device) {
  check(is_addressable({B, T}), "ragged: ", B, " sequences of ", T, " rows");
  std::vector<int64_t> ends{0};
  for (int64_t b = 1; b <= B; ++b) ends.push_back(b * T);
  return Ragged(std::move(ends), device);
}

Ragged Ragged::of_offsets(const Tensor& offsets) {
  check(offsets.dtype() == DType::i64 && offsets.rank() == 1 && offsets.dim(0) >= 1,
        "ragged: offsets must be i64 (B+1), got ", offsets.dtype(), ' ', offsets.shape());
  std::vector<int64_t> ends = offsets.to_vector<int64_t>();
  check(ends.front() == 0 && std::is_sorted(ends.begin(), ends.end()),
        "ragged: offsets must rise from 0");
  return Ragged(std::move(ends), offsets.device());
}

int64_t Ragged::length(int64_t s) const {
  check(0 <= s && s < count(), "ragged: there is no sequence ", s, " among ", count());
  return ends()[static_cast<size_t>(s) + 1] - ends()[static_cast<size_t>(s)];
}

Tensor Ragged::row_of_each(const char* op, bool last) const {
  std::vector<int64_t> rows;
  for (size_t s = 0; s + 1 < ends().size(); ++s) {
    check(ends()[s] < ends()[s + 1], op, ": sequence ", s, " has no rows");
    rows.push_back(last ? ends()[s + 1] - 1 : ends()[s]);
  }
  return upload(rows, device());
}

Tensor Ragged::first_rows(const char* op) const { return row_of_each(op, false); }
Tensor Ragged::last_rows(const char* op) const { return row_of_each(op, true); }

Tensor Ragged::positions() const {
  std::vector<int64_t> positions;
  positions.reserve(static_cast<size_t>(rows()));
  for (int64_t s = 0; s < count(); ++s)
    for (int64_t t = 0; t < length(s); ++t) positions.push_back(t);
  return upload(positions, device());
}

Ragged Ragged::slice(int64_t begin, int64_t end) const {
  check(0 <= begin && begin <= end && end <= count(), "ragged: [", begin, ", ", end,
        ") is out of range for ", count(), " sequences");
  std::vector<int64_t> part(ends().begin() + begin, ends().begin() + end + 1);
  const int64_t first = part[0];
  for (int64_t& row : part) row -= first;
  return Ragged(std::move(part), device());
}

Ragged Ragged::to(Device target) const {
  return target == device() ? *this : Ragged(ends(), target);
}

}  // namespace diptych
