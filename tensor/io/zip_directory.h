// tensor/io/zip_directory.h — the central directory of a ZIP archive, parsed and checked.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/io/file.h"

namespace diptych::detail {

/// Takes little-endian numbers and text off the front of some bytes. The caller checks that they
/// are there.
class ZipFields {
 public:
  explicit ZipFields(std::string_view bytes) : bytes_(bytes) {}

  bool has(size_t count) const { return count <= bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  std::string_view text(size_t count);
  uint16_t u16() { return static_cast<uint16_t>(number(2)); }
  uint32_t u32() { return static_cast<uint32_t>(number(4)); }
  uint64_t u64() { return number(8); }

 private:
  uint64_t number(size_t bytes);

  std::string_view bytes_;
};

inline constexpr uint32_t kZipIn64 = 0xffffffff;  ///< "too large for 32 bits: see the ZIP64 field"

/// An entry as the directory spells it.
struct ZipHeader {
  std::string name;
  uint16_t flags = 0, method = 0;
  uint32_t crc = 0;
  int64_t stored_size = 0;  ///< in the archive
  int64_t size = 0;         ///< unpacked
  int64_t offset = 0;       ///< of the local header, which precedes the data
};

struct ZipDirectory {
  std::vector<ZipHeader> headers;
  int64_t offset = 0;  ///< everything else lies in front of it
};

/// Throws Error, starting with `where`, on any violation of the rules of ZipArchive that can be
/// seen without the local headers. Each header's offset and stored_size lie in front of the
/// directory.
ZipDirectory read_zip_directory(const InputFile&, const std::string& where);

}  // namespace diptych::detail
