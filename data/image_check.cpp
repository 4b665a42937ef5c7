// data/image_check.cpp — is this a complete JPEG or PNG of reasonable size? Asked before decoding.
//
// stb_image verifies no PNG checksum and decodes a JPEG that ends early without complaint, so both
// are settled here: every chunk's CRC-32 and the final IEND, every marker segment and the final
// EOI.
#include <zlib.h>

#include <algorithm>

#include "data/image.h"
#include "data/image_format.h"

namespace diptych {
namespace {

constexpr int64_t kMaxSide = 16384;

uint32_t byte_at(std::string_view bytes, size_t pos) { return static_cast<uint8_t>(bytes[pos]); }

uint32_t u16_at(std::string_view bytes, size_t pos) {
  return byte_at(bytes, pos) << 8 | byte_at(bytes, pos + 1);
}

uint32_t u32_at(std::string_view bytes, size_t pos) {
  return u16_at(bytes, pos) << 16 | u16_at(bytes, pos + 2);
}

uint32_t crc32_of(std::string_view bytes) {
  return static_cast<uint32_t>(
      crc32(0, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(bytes.size())));
}

// A file under examination; require() throws Error with its name.
struct Subject {
  std::string_view bytes;
  const std::string& name;
  const ImageLimits& limits;

  template <class... Args>
  void require(bool ok, const Args&... reason) const {
    if (!ok) fail("image: '", name, "': ", reason...);
  }

  int64_t require_size(uint32_t width, uint32_t height) const {
    require(width > 0 && height > 0, "has no pixels: ", width, " x ", height);
    require(width <= kMaxSide && height <= kMaxSide, width, " x ", height,
            " pixels; no side may be longer than ", kMaxSide);
    require(int64_t{width} * height <= limits.max_pixels, "too many pixels: ", width, " x ", height,
            ", the limit is ", limits.max_pixels);
    return int64_t{width} * height;
  }
};

int64_t check_png(const Subject& file) {
  const std::string_view bytes = file.bytes;
  int64_t pixels = 0;
  bool ended = false;
  for (size_t pos = 8; !ended;) {
    file.require(bytes.size() - pos >= 12, "truncated (no IEND chunk)");
    const size_t length = u32_at(bytes, pos);
    const std::string_view type = bytes.substr(pos + 4, 4);
    file.require(pos > 8 || (type == "IHDR" && length == 13), "damaged (no IHDR chunk in front)");
    file.require(length <= bytes.size() - pos - 12, "truncated, or damaged length of chunk ",
                 printable(type));
    file.require(crc32_of(bytes.substr(pos + 4, length + 4)) == u32_at(bytes, pos + 8 + length),
                 "damaged (wrong checksum of chunk ", printable(type), ")");
    if (pos == 8) pixels = file.require_size(u32_at(bytes, pos + 8), u32_at(bytes, pos + 12));
    ended = type == "IEND";
    pos += 12 + length;
  }
  return pixels;
}

bool is_frame_header(uint32_t marker) {
  return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
}

int64_t check_frame(const Subject& file, uint32_t marker, std::string_view segment) {
  file.require(marker <= 0xC2, marker >= 0xC9 ? "arithmetic-coded" : "lossless or hierarchical",
               " JPEG is not supported; convert it to baseline JPEG or PNG");
  file.require(segment.size() >= 8, "damaged (frame header too short)");
  file.require(byte_at(segment, 2) == 8, byte_at(segment, 2), "-bit JPEG is not supported");
  return file.require_size(u16_at(segment, 5), u16_at(segment, 3));
}

// Huffman tables: class and number, 16 counts, that many symbols. stb_image 2.27 writes beyond its
// own table when the counts add up to more than 256.
void check_huffman_tables(const Subject& file, std::string_view segment) {
  for (size_t pos = 2; pos < segment.size();) {
    file.require(segment.size() - pos >= 17, "damaged (Huffman table cut short)");
    size_t symbols = 0;
    for (size_t i = pos + 1; i < pos + 17; ++i) symbols += byte_at(segment, i);
    file.require(symbols <= 256 && symbols <= segment.size() - pos - 17,
                 "damaged (Huffman table of ", symbols, " symbols)");
    pos += 17 + symbols;
  }
}

// From inside a scan to its end: the next 0xFF that starts a marker other than a restart.
size_t skip_scan(std::string_view bytes, size_t pos) {
  for (; pos + 1 < bytes.size(); ++pos) {
    if (byte_at(bytes, pos) != 0xFF) continue;
    const uint32_t next = byte_at(bytes, pos + 1);
    if (next != 0x00 && next != 0xFF && (next < 0xD0 || next > 0xD7)) return pos;
  }
  return bytes.size();
}

int64_t check_jpeg(const Subject& file) {
  const std::string_view bytes = file.bytes;
  constexpr const char* kTruncated = "truncated (no end-of-image marker)";
  int64_t pixels = 0;  // 0 until the frame header
  bool has_scan = false;
  for (size_t pos = 2;;) {
    pos = skip_scan(bytes, pos);  // also over padding between segments
    file.require(pos + 2 <= bytes.size(), kTruncated);
    const uint32_t marker = byte_at(bytes, pos + 1);
    pos += 2;
    if (marker == 0xD9) break;
    if (marker == 0x01) continue;  // TEM stands alone
    file.require(marker != 0xD8, "damaged (a second picture begins inside)");
    file.require(pos + 2 <= bytes.size(), kTruncated);
    const size_t length = u16_at(bytes, pos);
    file.require(length >= 2, "damaged (a segment of ", length, " bytes)");
    file.require(length <= bytes.size() - pos, kTruncated);
    if (is_frame_header(marker)) {
      file.require(pixels == 0, "damaged (two frame headers)");
      pixels = check_frame(file, marker, bytes.substr(pos, length));
    }
    if (marker == 0xC4) check_huffman_tables(file, bytes.substr(pos, length));
    has_scan = has_scan || marker == 0xDA;
    pos += length;
  }
  file.require(pixels > 0 && has_scan, "damaged (no picture between its markers)");
  return pixels;
}

}  // namespace

int64_t check_image_file(std::string_view bytes, const std::string& name,
                         const ImageLimits& limits) {
  const Subject file{bytes, name, limits};
  file.require(!bytes.empty(), "empty file");
  const int64_t most = std::min(limits.max_bytes, int64_t{INT32_MAX});  // stb counts in int
  file.require(static_cast<int64_t>(bytes.size()) <= most, bytes.size(), " bytes, the limit is ",
               most);
  switch (const FileKind kind = kind_of(bytes); kind) {
    case FileKind::png:
      return check_png(file);
    case FileKind::jpeg:
      return check_jpeg(file);
    default:
      fail("image: '", name, "': not a JPEG or PNG picture", describe(kind));
  }
}

}  // namespace diptych
