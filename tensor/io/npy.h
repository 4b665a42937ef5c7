// tensor/io/npy.h — reading and writing NumPy's .npy files, one array each.
#pragma once

#include <string>

#include "tensor/tensor.h"

namespace diptych {

/// Reads an .npy file of version 1, 2 or 3: little-endian f4, f8, f2, i8, i4 (becomes i64), u1 and
/// b1 (becomes u8), rank ≤ Shape::kMaxRank. An array in Fortran order comes back as a transposed
/// view. The file is not trusted: its header is parsed, never evaluated. Throws Error, naming file
/// and reason, on any other dtype or header, or unless the file has exactly the size it announces.
Tensor load_npy(const std::string& path);

/// Writes version 1 in C order, from any device and layout, replacing the file in one step (see
/// write_file_atomically). Throws Error for bf16, which NumPy does not have.
void save_npy(const std::string& path, const Tensor&);

}  // namespace diptych
