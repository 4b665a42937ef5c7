// tensor/io/zip.cpp — a strict reader of ZIP archives: the central directory decides, and the local
// headers must agree with it.
#include "tensor/io/zip.h"

#include <zlib.h>

#include <algorithm>

#include "tensor/io/zip_directory.h"
#include "tensor/types.h"

namespace diptych {
namespace {

using detail::ZipFields;
using detail::ZipHeader;

constexpr uint32_t kLocalSignature = 0x04034b50;
constexpr int64_t kLocalBytes = 30;
constexpr int64_t kMostInflated = 1032;   // bytes out of one, by "deflate"
constexpr uint16_t kDescriptor = 1 << 3;  // bit of the flags: sizes and CRC follow the data

/// Whether a field of a local header is that of the directory, or says that it is elsewhere.
bool agrees(const ZipHeader& header, uint32_t local, int64_t central) {
  return local == central || local == detail::kZipIn64 ||
         (local == 0 && (header.flags & kDescriptor) != 0);
}

/// Where the data of an entry begins. Throws Error unless its local header agrees.
int64_t data_begin(const InputFile& file, const std::string& where, const ZipHeader& header,
                   int64_t limit) {
  const auto name_bytes = static_cast<int64_t>(header.name.size());
  std::string bytes(static_cast<size_t>(kLocalBytes + name_bytes), '\0');
  const std::string quoted = in_quotes(header.name);
  check(static_cast<int64_t>(bytes.size()) <= limit - header.offset, where,
        ": no room for the local header of the zip entry ", quoted);
  file.read_at(header.offset, bytes.data(), static_cast<int64_t>(bytes.size()));
  ZipFields fields(bytes);
  const uint32_t signature = fields.u32();
  fields.text(2);  // version
  const uint16_t flags = fields.u16(), method = fields.u16();
  fields.text(4);  // time and date
  const uint32_t crc = fields.u32(), stored_size = fields.u32(), size = fields.u32();
  const uint16_t name_length = fields.u16(), extra = fields.u16();
  check(signature == kLocalSignature && flags == header.flags && method == header.method &&
            agrees(header, crc, header.crc) && agrees(header, stored_size, header.stored_size) &&
            agrees(header, size, header.size) && name_length == header.name.size() &&
            fields.text(header.name.size()) == header.name,
        where, ": the local header of the zip entry ", quoted, " differs from the directory");
  return header.offset + kLocalBytes + name_bytes + extra;
}

/// Throws Error unless each entry, from its local header to its last byte, ends before the next.
void check_layout(const std::string& where, std::vector<std::pair<int64_t, int64_t>> spans,
                  int64_t limit) {
  std::sort(spans.begin(), spans.end());
  spans.emplace_back(limit, limit);
  for (size_t i = 1; i < spans.size(); ++i)
    check(spans[i - 1].second <= spans[i].first, where, ": two zip entries overlap at byte ",
          spans[i].first);
}

}  // namespace

ZipArchive::ZipArchive(const InputFile& file) : where_(file.where()), file_(file) {
  const auto by_name = [](const auto& a, const auto& b) { return a.name < b.name; };
  detail::ZipDirectory directory = detail::read_zip_directory(file_, where_);
  std::vector<std::pair<int64_t, int64_t>> spans;
  for (ZipHeader& header : directory.headers) {
    const int64_t begin = data_begin(file_, where_, header, directory.offset);
    spans.emplace_back(header.offset, begin + header.stored_size);
    entries_.push_back(
        {std::move(header.name), begin, header.stored_size, header.crc, header.method != 0});
  }
  check_layout(where_, std::move(spans), directory.offset);
  std::sort(entries_.begin(), entries_.end(), by_name);
  const auto twice =
      std::adjacent_find(entries_.begin(), entries_.end(),
                         [](const ZipEntry& a, const ZipEntry& b) { return a.name == b.name; });
  if (twice != entries_.end())
    fail(where_, ": the zip entry ", in_quotes(twice->name), " appears twice");
}

const ZipEntry* ZipArchive::find(std::string_view name) const {
  const auto found = std::lower_bound(
      entries_.begin(), entries_.end(), name,
      [](const ZipEntry& entry, std::string_view key) { return entry.name < key; });
  return found == entries_.end() || found->name != name ? nullptr : &*found;
}

void ZipArchive::check_readable(const ZipEntry& entry) const {
  check(!entry.compressed, where_, ": the zip entry ", in_quotes(entry.name),
        " is compressed, as PyTorch never does; unpack the file and pack it again with `zip -0`");
}

void ZipArchive::check_crc(const ZipEntry& entry, std::string_view bytes) const {
  const uLong crc = crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
  check(crc == entry.crc, where_, ": the zip entry ", in_quotes(entry.name),
        " is damaged: its CRC-32 is wrong");
}

void ZipArchive::read(const ZipEntry& entry, void* out) const {
  check_readable(entry);
  file_.read_at(entry.begin, out, entry.size);
  check_crc(entry, {static_cast<const char*>(out), static_cast<size_t>(entry.size)});
}

std::string ZipArchive::read(const ZipEntry& entry) const {
  check_readable(entry);
  std::string bytes(static_cast<size_t>(entry.size), '\0');
  read(entry, bytes.data());
  return bytes;
}

std::string ZipArchive::inflated(const ZipEntry& entry, int64_t max_bytes) const {
  std::string packed(static_cast<size_t>(entry.size), '\0');
  file_.read_at(entry.begin, packed.data(), entry.size);
  const int64_t most =
      kMostInflated * entry.size + 64;  // no entry takes memory that it cannot fill
  std::string bytes(static_cast<size_t>(std::min(max_bytes, most)), '\0');
  z_stream stream{};
  constexpr int kRaw = -15;  // no header of zlib's; the largest window
  check(inflateInit2(&stream, kRaw) == Z_OK, where_, ": zlib cannot start");
  stream.next_in = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(bytes.data());
  stream.avail_out = static_cast<uInt>(bytes.size());
  const int end = inflate(&stream, Z_FINISH);
  inflateEnd(&stream);
  check(end == Z_STREAM_END, where_, ": the zip entry ", in_quotes(entry.name),
        " is damaged, or longer than ", max_bytes, " bytes");
  bytes.resize(stream.total_out);
  return bytes;
}

std::string ZipArchive::read_text(const ZipEntry& entry, int64_t max_bytes) const {
  check(entry.size <= max_bytes, where_, ": the zip entry ", in_quotes(entry.name),
        " is longer than ", max_bytes, " bytes");
  if (!entry.compressed) return read(entry);
  const std::string bytes = inflated(entry, max_bytes);
  check_crc(entry, bytes);
  return bytes;
}

}  // namespace diptych
