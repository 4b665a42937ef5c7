// tensor/io/npy.h — reading and writing NumPy's .npy files, one array each.
#pragma once

#include <string>

#include "tensor/io/file.h"
#include "tensor/tensor.h"

namespace diptych {

/// Reads an .npy file of version 1, 2 or 3: little-endian f4, f8, f2, i8, i4 (becomes i64), u1 and
/// b1 (becomes u8), rank ≤ Shape::kMaxRank. An array in Fortran order comes back as a transposed
/// view. The file is not trusted: its header is parsed, never evaluated. Throws Error, naming file
/// and reason, on any other dtype or header, or unless the file has exactly the size it announces.
Tensor load_npy(const std::string& path);

/// The shape that the header of such a file announces, which is all that is read. Throws likewise.
Shape npy_shape(const std::string& path);

/// Writes version 1 in C order, from any device and layout, replacing the file in one step (see
/// write_file_atomically). Throws Error for bf16, which NumPy does not have.
void save_npy(const std::string& path, const Tensor&);

/// An f32 array written row by row, so that it never is in memory as a whole.
class NpyRows {
 public:
  /// Rows of shape `row` into a file that has nothing yet; at most `expected` of them.
  NpyRows(FileWriter&, const Shape& row, int64_t expected);
  /// (B, …row) f32, from any device and layout. Throws Error on another shape or dtype, and when
  /// more come than were expected.
  void add(const Tensor& rows);
  /// The end: the header tells how many there are. Throws Error if fewer came than were expected
  /// and the file is a pipe.
  void finish();
  int64_t size() const { return size_; }

 private:
  Shape with(int64_t rows) const;

  FileWriter& out_;
  Shape row_;
  int64_t expected_, size_ = 0;
};

}  // namespace diptych
