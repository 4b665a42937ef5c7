// tensor/io/safetensors_header.h — the JSON header of a safetensors file, parsed and checked.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tensor/io/safetensors.h"

namespace diptych::detail {

/// How the file spells an element type, and what it becomes in memory.
struct FileType {
  const char* name;
  DType dtype;
  int64_t bytes;  // per element, in the file
};

inline constexpr int64_t kMaxHeaderBytes =
    100'000'000;                                // the limit of the reference implementation
inline constexpr size_t kMaxTensors = 1 << 14;  // as of load_torch; the largest CLIP has 2,000
inline constexpr FileType kFileTypes[] = {
    {"F32", DType::f32, 4},   {"F64", DType::f64, 8}, {"F16", DType::f16, 2},
    {"BF16", DType::bf16, 2}, {"I64", DType::i64, 8}, {"U8", DType::u8, 1},
    {"BOOL", DType::u8, 1},   {"I32", DType::i64, 4},
};

inline constexpr size_t kMaxString = 10 << 20;  // of names and metadata, as it is written

struct HeaderEntry {
  std::string name;
  const FileType* type = nullptr;
  Shape shape;
  int64_t begin = 0, end = 0;  // in bytes after the header
};

struct SafeTensorsHeader {
  std::vector<HeaderEntry> entries;  // by (begin, end): they cover [0, data_bytes) exactly
  Metadata metadata;
};

/// Throws Error, starting with `where` and naming the tensor, on any violation of the rules of
/// load_safetensors.
SafeTensorsHeader parse_safetensors_header(const std::string& where, const std::string& json,
                                           int64_t data_bytes);

}  // namespace diptych::detail
