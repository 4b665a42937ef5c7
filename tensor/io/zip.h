// tensor/io/zip.h — reading ZIP archives that nobody vouches for: the container of PyTorch's files.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/io/file.h"

namespace diptych {

/// One file of an archive.
struct ZipEntry {
  std::string name;
  int64_t begin = 0, size = 0;  ///< its bytes in the archive
  uint32_t crc = 0;
  bool compressed = false;  ///< only read_text reads it: data must be there as it is
};

/// An archive opened for reading (APPNOTE.TXT 6.3, with ZIP64). Two readers of one archive must not
/// see different files, so anything ambiguous is refused: the constructor throws Error unless the
/// archive ends in its end record (one disk, no comment), the central directory ends where the end
/// records begin, each entry's local header repeats what the directory says, names are unique,
/// relative and without "..", and no two entries overlap. So are encryption and more than 65,536
/// entries. Besides the entries, memory is bounded by the size of the directory, at most 16 MiB.
class ZipArchive {
 public:
  /// The file must outlive the archive.
  explicit ZipArchive(const InputFile&);

  const std::vector<ZipEntry>& entries() const { return entries_; }  ///< by name
  const ZipEntry* find(std::string_view name) const;                 ///< null if there is none

  /// The entry.size bytes of an entry. Throws Error if it is compressed or its CRC-32 is wrong.
  void read(const ZipEntry&, void* out) const;
  std::string read(const ZipEntry&) const;
  /// The bytes of an entry whether compressed (by "deflate") or not. Throws Error if there are more
  /// than max_bytes of them, or they are damaged.
  std::string read_text(const ZipEntry&, int64_t max_bytes) const;

 private:
  void check_readable(const ZipEntry&) const;
  void check_crc(const ZipEntry&, std::string_view bytes) const;
  std::string inflated(const ZipEntry&, int64_t max_bytes) const;

  std::string where_;  // starts every message
  const InputFile& file_;
  std::vector<ZipEntry> entries_;
};

}  // namespace diptych
