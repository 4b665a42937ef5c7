// data/image/bmp.cpp — Windows bitmaps: BMP as Pillow 9.4 reads it. What Pillow misreads is
// refused.
#include <algorithm>
#include <optional>

#include "data/image/byte_reader.h"
#include "data/image/packing.h"

namespace diptych {
namespace {

enum Compression : uint8_t { kNone, kRuns8, kRuns4, kBitFields };

constexpr int64_t kFileHeader = 14;
constexpr const char* kMisread = ", which Pillow misreads; save it anew, as PNG";

struct Header {
  int64_t bytes = 0;       // of this header
  int64_t pixels_at = 0;   // in the file; 0: behind everything else
  int64_t colours_at = 0;  // the end of what describes the picture
  int64_t width = 0, height = 0;
  bool top_down = false;
  int64_t bits = 0, compression = kNone;
  int64_t colours = 0;       // of the palette
  int64_t colour_bytes = 4;  // in the file
  std::array<int64_t, 4> masks{};
};

// A negative height, of which Pillow looks at the uppermost byte alone, means rows from the top.
void read_height(ByteReader& in, Header& h) {
  h.height = in.u32();
  h.top_down = h.height >> 24 == 0xFF;
  if (h.top_down) h.height = (int64_t{1} << 32) - h.height;
}

void read_long_header(ByteReader& in, Header& h) {
  h.width = in.u32();
  read_height(in, h);
  in.take(2);  // planes
  h.bits = in.u16();
  h.compression = in.u32();
  in.take(12);  // length of the data, pixels per metre
  h.colours = in.u32();
  in.take(4);  // colours that matter
  if (h.compression != kBitFields) return;
  // Behind the shortest of these headers, and in the longer ones, at the same place.
  for (int64_t& mask : h.masks) mask = h.bytes == 40 && &mask == &h.masks[3] ? 0 : in.u32();
  if (h.bytes == 40) h.colours_at += 12;
}

void read_short_header(ByteReader& in, Header& h) {  // of OS/2
  h.width = in.u16();
  h.height = in.u16();
  in.take(2);  // planes
  h.bits = in.u16();
  h.colour_bytes = 3;
}

Header read_header(const PictureFile& file) {
  ByteReader in(file, 10);
  Header h;
  h.pixels_at = in.u32();
  h.bytes = in.u32();
  file.require(h.bytes == 12 || h.bytes == 40 || h.bytes == 64 || h.bytes == 108 || h.bytes == 124,
               "a BMP whose header has ", h.bytes, " bytes is not read; save it anew, as PNG");
  h.colours_at = kFileHeader + h.bytes;
  h.bytes == 12 ? read_short_header(in, h) : read_long_header(in, h);
  if (h.colours == 0 && h.bits <= 8) h.colours = int64_t{1} << h.bits;
  if (h.pixels_at == kFileHeader + h.bytes && h.bits <= 8) h.pixels_at += 4 * h.colours;
  return h;
}

// -- what the pixels are --

std::optional<Packing> packing_of_masks(const Header& h) {
  const std::array<int64_t, 3> colours{h.masks[0], h.masks[1], h.masks[2]};
  const auto is = [&](int64_t bits, int64_t red, int64_t green, int64_t blue) {
    return h.bits == bits && colours == std::array{red, green, blue};
  };
  const int64_t alpha = h.masks[3];
  if (is(32, 0xFF0000, 0xFF00, 0xFF) && alpha == 0) return Packing::bgrx;
  if (is(32, 0xFF0000, 0xFF00, 0xFF) && alpha == 0xFF000000) return Packing::bgra;
  if (is(32, 0xFF000000, 0xFF0000, 0xFF00) && alpha == 0) return Packing::xbgr;
  if (is(32, 0xFF000000, 0xFF0000, 0xFF00) && alpha == 0xFF) return Packing::abgr;
  if (is(32, 0xFF, 0xFF00, 0xFF0000) && alpha == 0xFF000000) return Packing::rgba;
  if (is(32, 0, 0, 0) && alpha == 0) return Packing::bgra;
  if (is(24, 0xFF0000, 0xFF00, 0xFF)) return Packing::bgr;
  if (is(16, 0xF800, 0x7E0, 0x1F)) return Packing::bgr16;
  if (is(16, 0x7C00, 0x3E0, 0x1F)) return Packing::bgr15;
  return std::nullopt;
}

Packing packing_of(const PictureFile& file, const Header& h) {
  if (h.compression == kBitFields) {
    const auto packing = h.bytes == 64 ? std::nullopt : packing_of_masks(h);
    file.require(packing.has_value(), "a BMP of ", h.bits,
                 " bits with such masks of colours is not read; save it anew, as PNG");
    return *packing;
  }
  switch (h.bits) {
    case 1:
      return Packing::bit;
    case 4:
      return Packing::nibble;
    case 8:
      return Packing::byte;
    case 16:
      return Packing::bgr15;
    case 24:
      return Packing::bgr;
    case 32:
      return Packing::bgrx;
    default:
      file.require(false, "a BMP of ", h.bits,
                   " bits is not read; there can be 1, 4, 8, 16, 24, 32");
      return {};
  }
}

// -- palettes --

std::array<uint8_t, 3> grey(size_t value) {
  const auto sample = static_cast<uint8_t>(value);
  return {sample, sample, sample};
}

std::vector<std::array<uint8_t, 3>> read_colours(const PictureFile& file, const Header& h) {
  file.require(h.colours <= 256, "a BMP with a palette of ", h.colours, " colours");
  ByteReader in(file, h.colours_at);
  std::vector<std::array<uint8_t, 3>> colours;
  for (int64_t i = 0; i < h.colours; ++i) {
    const auto c = in.take(h.colour_bytes);
    colours.push_back({c[2], c[1], c[0]});
  }
  return colours;
}

// Whether two colours are black and white, or each index is its grey: Pillow drops such a palette.
bool is_ramp(const std::vector<std::array<uint8_t, 3>>& colours) {
  for (size_t i = 0; i < colours.size(); ++i)
    if (colours[i] != grey(colours.size() == 2 ? 255 * i : i)) return false;
  return true;
}

void read_palette(const PictureFile& file, const Header& h, Picture& picture, Packing& packing) {
  picture.mode = Mode::palette;
  picture.palette = read_colours(file, h);
  if (!is_ramp(picture.palette)) {
    while (picture.palette.size() < 256) picture.palette.push_back(grey(picture.palette.size()));
    return;
  }
  const bool two = h.colours == 2;
  file.require(h.bits == (two ? 1 : 8), "a BMP of ", h.bits, " bits and ", h.colours,
               " greys in order", kMisread);
  picture.palette.clear();
  picture.mode = two ? Mode::bilevel : Mode::grey;
  if (two) packing = Packing::light;
}

Mode mode_of(Packing packing) {
  const bool alpha =
      packing == Packing::bgra || packing == Packing::abgr || packing == Packing::rgba;
  return alpha ? Mode::rgba : Mode::rgb;
}

// -- pixels --

uint8_t* row_of(Picture& picture, const Header& h, int64_t row) {
  const int64_t y = h.top_down ? row : h.height - 1 - row;
  return picture.samples.data() + y * h.width * bands(picture.mode);
}

void allocate(Picture& picture) {
  picture.samples.resize(static_cast<size_t>(bands(picture.mode) * picture.width * picture.height));
}

void read_rows(const PictureFile& file, const Header& h, Packing packing, int64_t at,
               Picture& picture) {
  const int64_t used = row_bytes(packing, h.width), stride = (h.width * h.bits + 31) / 32 * 4;
  ByteReader(file, at).take((h.height - 1) * stride + used);  // before memory is spent on them
  allocate(picture);
  for (int64_t row = 0; row < h.height; ++row)
    unpack(packing, ByteReader(file, at + row * stride).take(used), h.width,
           row_of(picture, h, row));
}

// Run lengths: pairs (count, value); after a count of 0 an order, or the length of a list of
// values.
class RunReader {
 public:
  RunReader(const PictureFile& file, const Header& h, int64_t at, Picture& picture)
      : file_(file), h_(h), in_(file, at), picture_(picture) {}

  void read() {
    while (row_ < h_.height - 1 || (row_ == h_.height - 1 && x_ < h_.width)) {
      const int64_t count = in_.byte();
      const uint8_t value = in_.byte();
      if (count > 0)
        repeat(std::min(count, h_.width - x_), value);  // what leaves the row is dropped
      else if (value == 0)
        end_row();
      else
        read_values(value);
    }
  }

 private:
  void put(int value) { row_of(picture_, h_, row_)[x_++] = static_cast<uint8_t>(value); }

  void repeat(int64_t count, int value) {
    for (int64_t i = 0; i < count; ++i)
      put(h_.compression == kRuns8 ? value : i % 2 == 0 ? value >> 4 : value & 15);
  }

  // Samples that were not told are 0.
  void end_row() {
    file_.require(x_ > 0, "a BMP with an empty row", kMisread);
    ++row_;
    x_ = 0;
  }

  void read_values(int64_t count) {
    file_.require(count != 1, "the runs of this BMP end before its last pixel");
    file_.require(count != 2, "a BMP that leaves out pixels", kMisread);
    file_.require(count <= h_.width - x_, "damaged: values of this BMP go on behind their row");
    const bool half_bytes = h_.compression == kRuns4;
    file_.require(!half_bytes || count % 2 == 0, "a BMP with an odd number of 4-bit values",
                  kMisread);
    for (const uint8_t value : in_.take(half_bytes ? count / 2 : count)) {
      if (half_bytes) put(value >> 4);
      put(half_bytes ? value & 15 : value);
    }
    if (in_.position() % 2 != 0) in_.take(1);
  }

  const PictureFile& file_;
  const Header& h_;
  ByteReader in_;
  Picture& picture_;
  int64_t row_ = 0, x_ = 0;
};

void check_compression(const PictureFile& file, const Header& h) {
  file.require(h.compression <= kBitFields, "a BMP of compression ", h.compression,
               " is not read; save it anew, as PNG");
  file.require((h.compression != kRuns8 || h.bits == 8) && (h.compression != kRuns4 || h.bits == 4),
               "damaged: a BMP of ", h.bits, " bits with runs of another number");
}

}  // namespace

Picture decode_bmp(const PictureFile& file) {
  const Header h = read_header(file);
  file.require_size(h.width, h.height);
  check_compression(file, h);
  Packing packing = packing_of(file, h);
  Picture picture{mode_of(packing), h.width, h.height, {}, {}, {}};
  if (h.bits <= 8) read_palette(file, h, picture, packing);
  const int64_t behind = h.colours_at + (h.bits <= 8 ? h.colour_bytes * h.colours : 0);
  const int64_t at = h.pixels_at == 0 ? behind : h.pixels_at;
  if (h.compression == kRuns8 || h.compression == kRuns4) {
    allocate(picture);
    RunReader(file, h, at, picture).read();
  } else {
    read_rows(file, h, packing, at, picture);
  }
  return picture;
}

}  // namespace diptych
