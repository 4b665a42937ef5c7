// tensor/io/zip_directory.cpp — the end records and the central directory of a ZIP archive. Names
// of fields and records are those of APPNOTE.TXT 6.3.
#include "tensor/io/zip_directory.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "tensor/types.h"

namespace diptych::detail {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

constexpr uint32_t kCentralSignature = 0x02014b50, kEndSignature = 0x06054b50;
constexpr uint32_t kEnd64Signature = 0x06064b50, kLocator64Signature = 0x07064b50;
constexpr int64_t kCentralBytes = 46, kEndBytes = 22, kEnd64Bytes = 56, kLocator64Bytes = 20;

constexpr uint64_t kMaxEntries = 1 << 16;
constexpr uint64_t kMaxDirectoryBytes = 16 << 20;
constexpr size_t kMaxName = 4096;
constexpr uint16_t kEncrypted = 1 << 0 | 1 << 6 | 1 << 13;  // bits of the flags

/// What the end records say about the directory.
struct End {
  uint64_t count = 0, bytes = 0, offset = 0;
  int64_t position = 0;  // of the first end record: the directory must end there
  bool one_disk = false;
};

std::string bytes_at(const InputFile& file, int64_t offset, int64_t count) {
  std::string bytes(static_cast<size_t>(count), '\0');
  file.read_at(offset, bytes.data(), count);
  return bytes;
}

End read_end(const InputFile& file, const std::string& where) {
  End end;
  end.position = file.size() - kEndBytes;
  const std::string bytes = end.position < 0 ? "" : bytes_at(file, end.position, kEndBytes);
  ZipFields fields(bytes);
  check(!bytes.empty() && fields.u32() == kEndSignature, where,
        ": the end of the zip file is missing; it may be cut short");
  const uint16_t disk = fields.u16(), directory_disk = fields.u16(), here = fields.u16();
  end.count = fields.u16();
  end.one_disk = disk == 0 && directory_disk == 0 && here == end.count;
  end.bytes = fields.u32();
  end.offset = fields.u32();
  check(fields.u16() == 0, where, ": the zip file ends in a comment, which is not allowed");
  return end;
}

/// The ZIP64 end record, which is in front of its locator, which is in front of the end record.
End read_end64(const InputFile& file, const std::string& where, int64_t locator) {
  End end;
  end.position = locator - kEnd64Bytes;
  check(end.position >= 0, where, ": the ZIP64 end record is missing");
  const std::string bytes = bytes_at(file, end.position, kEnd64Bytes + kLocator64Bytes);
  ZipFields fields(bytes);
  const bool signature = fields.u32() == kEnd64Signature;
  const bool size = fields.u64() == kEnd64Bytes - 12;  // it does not count its first two fields
  fields.text(4);                                      // versions
  const uint32_t disk = fields.u32(), directory_disk = fields.u32();
  const uint64_t here = fields.u64();
  end.count = fields.u64();
  end.one_disk = disk == 0 && directory_disk == 0 && here == end.count;
  end.bytes = fields.u64();
  end.offset = fields.u64();
  fields.text(8);  // of the locator: its signature and the disk
  check(signature && size && fields.u64() == static_cast<uint64_t>(end.position), where,
        ": the ZIP64 end record is damaged");
  return end;
}

/// The end record's fields must be those of the ZIP64 record, or say that they are there.
bool agree(const End& narrow, const End& wide) {
  const auto same = [](uint64_t a, uint64_t b, uint64_t in64) { return a == b || a == in64; };
  return same(narrow.count, wide.count, 0xffff) && same(narrow.bytes, wide.bytes, kZipIn64) &&
         same(narrow.offset, wide.offset, kZipIn64);
}

End find_directory(const InputFile& file, const std::string& where) {
  End end = read_end(file, where);
  const int64_t locator = end.position - kLocator64Bytes;
  if (locator >= 0 && ZipFields(bytes_at(file, locator, 4)).u32() == kLocator64Signature) {
    const End wide = read_end64(file, where, locator);
    check(agree(end, wide), where, ": the two end records of the zip file differ");
    end = wide;
  }
  check(end.one_disk, where, ": the zip file is a part of several");
  check(end.count <= kMaxEntries && end.bytes <= kMaxDirectoryBytes, where, ": a zip directory of ",
        end.count, " entries in ", end.bytes, " bytes is over the limit of ", kMaxEntries, " in ",
        kMaxDirectoryBytes);
  const auto position = static_cast<uint64_t>(end.position);
  check(end.bytes <= position && end.offset == position - end.bytes, where,
        ": the zip directory is not where the end record says");
  return end;
}

bool is_safe_name(std::string_view name) {
  if (name.empty() || name.size() > kMaxName || name.front() == '/') return false;
  if (name.find('\\') != name.npos || name.find('\0') != name.npos) return false;
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('/', begin), name.size());
    if (name.substr(begin, end - begin) == "..") return false;
    begin = end + 1;
  }
  return true;
}

/// Sizes and position of an entry, before they are known to fit in the file.
struct Extent {
  uint64_t size, stored_size, offset;
};

/// Replaces the fields that say so by those of the ZIP64 extra field, which has only these, in this
/// order. False if the extra fields are malformed or lack one of them.
bool read_extra64(std::string_view extra, Extent& extent) {
  std::vector<uint64_t*> missing;
  for (uint64_t* field : {&extent.size, &extent.stored_size, &extent.offset})
    if (*field == kZipIn64) missing.push_back(field);
  ZipFields fields(extra);
  while (fields.has(4)) {
    const uint16_t id = fields.u16(), bytes = fields.u16();
    if (!fields.has(bytes)) return false;
    ZipFields content(fields.text(bytes));
    if (id != 1 || missing.empty()) continue;
    if (!content.has(8 * missing.size())) return false;
    for (uint64_t* field : missing) *field = content.u64();
    missing.clear();
  }
  return missing.empty() && fields.empty();
}

/// Takes one header off the directory. False if it is none.
bool read_header(ZipFields& directory, ZipHeader& header, Extent& extent) {
  if (!directory.has(kCentralBytes)) return false;
  ZipFields fields(directory.text(kCentralBytes));
  if (fields.u32() != kCentralSignature) return false;
  fields.text(4);  // versions
  header.flags = fields.u16();
  header.method = fields.u16();
  fields.text(4);  // time and date
  header.crc = fields.u32();
  extent.stored_size = fields.u32();
  extent.size = fields.u32();
  const size_t name = fields.u16(), extra = fields.u16(), comment = fields.u16();
  const uint16_t disk = fields.u16();
  fields.text(6);  // attributes
  extent.offset = fields.u32();
  if (disk != 0 || !directory.has(name + extra + comment)) return false;
  header.name = directory.text(name);
  const bool ok = read_extra64(directory.text(extra), extent);
  directory.text(comment);
  return ok;
}

void check_header(const std::string& where, ZipHeader& header, const Extent& extent, uint64_t end) {
  const std::string name = in_quotes(header.name);
  check(is_safe_name(header.name), where, ": the zip entry ", name, " has an unsafe name");
  check((header.flags & kEncrypted) == 0, where, ": the zip entry ", name, " is encrypted");
  check(extent.offset <= end && extent.stored_size <= end - extent.offset, where,
        ": the zip entry ", name, " of ", extent.stored_size, " bytes at ", extent.offset,
        " does not fit in the file; it may be cut short");
  check(header.method != 0 || extent.size == extent.stored_size, where, ": the zip entry ", name,
        " is stored as it is, but has two sizes");
  header.size = static_cast<int64_t>(extent.size);
  header.stored_size = static_cast<int64_t>(extent.stored_size);
  header.offset = static_cast<int64_t>(extent.offset);
}

}  // namespace

std::string_view ZipFields::text(size_t count) {
  const std::string_view out = bytes_.substr(0, count);
  bytes_.remove_prefix(count);
  return out;
}

uint64_t ZipFields::number(size_t bytes) {
  uint64_t value = 0;
  std::memcpy(&value, text(bytes).data(), bytes);
  return value;
}

ZipDirectory read_zip_directory(const InputFile& file, const std::string& where) {
  const End end = find_directory(file, where);
  ZipDirectory out;
  out.offset = static_cast<int64_t>(end.offset);
  const std::string bytes = bytes_at(file, out.offset, static_cast<int64_t>(end.bytes));
  ZipFields directory(bytes);
  for (uint64_t i = 0; i < end.count; ++i) {
    ZipHeader header;
    Extent extent{};
    check(read_header(directory, header, extent), where, ": the zip directory is damaged at entry ",
          i);
    check_header(where, header, extent, end.offset);
    out.headers.push_back(std::move(header));
  }
  check(directory.empty(), where, ": bytes are left over in the zip directory");
  return out;
}

}  // namespace diptych::detail
