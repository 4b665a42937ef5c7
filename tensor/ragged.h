// tensor/ragged.h — where each of several sequences lies that are packed one behind the other.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "tensor/tensor.h"

namespace diptych {

/// The layout of packed sequences: sequence s is rows ends()[s] … ends()[s+1]-1. Checked when it is
/// made and constant from then on; a copy is a handle. The host always knows it, the data's device
/// has the same numbers beside the data.
class Ragged {
 public:
  Ragged() : Ragged(of_lengths({})) {}  ///< no sequences
  /// Throws Error if a length is negative.
  static Ragged of_lengths(const std::vector<int64_t>& lengths, Device = Device::cpu);
  /// B sequences of T rows each.
  static Ragged equal(int64_t B, int64_t T, Device = Device::cpu);
  /// offsets i64 (B+1) from outside, copied. Throws Error unless they rise from 0.
  static Ragged of_offsets(const Tensor& offsets);

  int64_t count() const { return static_cast<int64_t>(ends().size()) - 1; }  ///< B
  int64_t rows() const { return ends().back(); }                             ///< ΣT
  int64_t longest() const { return layout_->longest; }  ///< 0 if there are none
  int64_t length(int64_t s) const;                      ///< rows of sequence s
  Device device() const { return offsets().device(); }

  const std::vector<int64_t>& ends() const { return layout_->ends; }  ///< (B+1), the first is 0
  const Tensor& offsets() const { return layout_->offsets; }          ///< the same, i64 on device()

  /// i64 on device(), (B): the first or the last row of every sequence. Throws Error, naming `op`
  /// and the sequence, if one has no rows.
  Tensor first_rows(const char* op) const;
  Tensor last_rows(const char* op) const;
  /// i64 on device(), (ΣT): 0, 1, … for each sequence.
  Tensor positions() const;
  /// All of them in one, made when first asked for: offsets, positions, last rows → i64 on
  /// device(), (2 B + 1 + ΣT).
  Tensor numbers() const;
  /// This layout with its numbers() there.
  Ragged at(const Tensor& numbers) const;

  /// Sequences begin … end-1, whose rows are rows ends()[begin] … ends()[end]-1 of these.
  Ragged slice(int64_t begin, int64_t end) const;
  Ragged to(Device) const;

 private:
  struct Layout {
    std::vector<int64_t> ends;
    int64_t longest;
    Tensor offsets, numbers;
    std::mutex mutex;  // of numbers
  };
  Ragged(std::vector<int64_t> ends, const Tensor& offsets, const Tensor& numbers = {});
  void check_rows(const char* op) const;

  std::shared_ptr<Layout> layout_;
};

}  // namespace diptych
