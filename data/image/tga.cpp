// data/image/tga.cpp — Targa as Pillow 9.4 reads it. What Pillow misreads is refused.
#include <algorithm>

#include "data/image/byte_reader.h"
#include "data/image/packing.h"

namespace diptych {
namespace {

// Bits of the type of a picture. The rest of it says what a pixel is.
constexpr int64_t kRuns = 8;
enum Pixels : uint8_t { kIndices = 1, kColours = 2, kGreys = 3 };

struct Header {
  int64_t id_bytes, has_map, type;
  int64_t map_first, map_size, map_bits;
  int64_t width, height, bits, flags;
};

Header read_header(ByteReader& in) {
  Header h{};
  h.id_bytes = in.byte();
  h.has_map = in.byte();
  h.type = in.byte();
  h.map_first = in.u16();
  h.map_size = in.u16();
  h.map_bits = in.byte();
  in.take(4);  // where the picture lies on a screen
  h.width = in.u16();
  h.height = in.u16();
  h.bits = in.byte();
  h.flags = in.byte();
  return h;
}

// A file of this format has no mark; only one in which everything is as it should be is one.
bool is_sound(const Header& h) {
  const int64_t pixels = h.type & ~kRuns;
  const bool map = h.has_map == 1 || (h.has_map == 0 && h.map_first + h.map_size == 0);
  const bool bits = h.bits == 1 || h.bits == 8 || h.bits == 16 || h.bits == 24 || h.bits == 32;
  return map && bits && pixels >= kIndices && pixels <= kGreys && h.width > 0 && h.height > 0;
}

struct Kind {
  Mode mode;
  Packing packing;
};

Kind kind_of(const PictureFile& file, const Header& h) {
  const auto is = [&](Pixels pixels, int64_t bits) {
    return (h.type & ~kRuns) == pixels && h.bits == bits;
  };
  if (is(kIndices, 8)) return {Mode::palette, Packing::byte};
  if (is(kGreys, 1) && h.type == kGreys) return {Mode::bilevel, Packing::light};
  if (is(kGreys, 8)) return {Mode::grey, Packing::byte};
  if (is(kGreys, 16)) return {Mode::grey_alpha, Packing::grey_alpha};
  if (is(kColours, 16)) return {Mode::rgb, Packing::bgr15};
  if (is(kColours, 24)) return {Mode::rgb, Packing::bgr};
  if (is(kColours, 32)) return {Mode::rgba, Packing::bgra};
  fail("image: '", file.name, "': a TGA of type ", h.type, " with ", h.bits,
       " bits a pixel is not read; save it anew, as PNG");
}

// Indices without a colour are grey.
std::vector<std::array<uint8_t, 3>> read_palette(const PictureFile& file, const Header& h,
                                                 ByteReader& in) {
  file.require(h.has_map == 1, "damaged: a TGA of indices without colours");
  file.require(h.map_bits == 16 || h.map_bits == 24, "a TGA with colours of ", h.map_bits,
               " bits is not read; save it anew, as PNG");
  file.require(h.map_first + h.map_size <= 256, "damaged: a TGA with ", h.map_first + h.map_size,
               " colours for indices of 8 bits");
  const Packing packing = h.map_bits == 16 ? Packing::bgr15 : Packing::bgr;
  std::vector<std::array<uint8_t, 3>> colours(static_cast<size_t>(h.map_first));
  for (int64_t i = 0; i < h.map_size; ++i)
    unpack(packing, in.take(h.map_bits / 8), 1, colours.emplace_back().data());
  for (size_t i = colours.size(); i < 256; ++i)
    colours.emplace_back().fill(static_cast<uint8_t>(i));
  return colours;
}

// The picture's rows in the order of the file, packed.
std::vector<uint8_t> unpacked_runs(const PictureFile& file, const Header& h, int64_t row,
                                   ByteReader& in) {
  const int64_t pixel = h.bits / 8, all = row * h.height;
  std::vector<uint8_t> out;
  out.reserve(static_cast<size_t>(all));
  while (static_cast<int64_t>(out.size()) < all) {
    const auto done = static_cast<int64_t>(out.size());
    const int64_t head = in.byte(), bytes = pixel * ((head & 127) + 1);
    const bool run = head >= 128;
    file.require(bytes <= (run ? row - done % row : all - done),
                 "a TGA in which pixels of one packet leave their row; save it anew, as PNG");
    const auto from = in.take(run ? pixel : bytes);
    for (int64_t i = 0; i < bytes; i += static_cast<int64_t>(from.size()))
      out.insert(out.end(), from.begin(), from.end());
  }
  return out;
}

void flip(Picture& picture) {
  const int64_t n = bands(picture.mode), row = n * picture.width;
  for (auto begin = picture.samples.begin(); begin != picture.samples.end(); begin += row)
    for (int64_t left = 0, right = picture.width - 1; left < right; ++left, --right)
      std::swap_ranges(begin + n * left, begin + n * (left + 1), begin + n * right);
}

void read_pixels(const PictureFile& file, const Header& h, Packing packing, ByteReader& in,
                 Picture& picture) {
  const int64_t row = row_bytes(packing, h.width);
  std::vector<uint8_t> runs;
  std::span<const uint8_t> rows;
  if ((h.type & kRuns) != 0)
    rows = runs = unpacked_runs(file, h, row, in);
  else
    rows = in.take(row * h.height);
  const int64_t samples = bands(picture.mode) * h.width;
  picture.samples.resize(static_cast<size_t>(samples * h.height));
  for (int64_t y = 0; y < h.height; ++y) {
    const int64_t from = (h.flags & 0x20) != 0 ? y : h.height - 1 - y;
    unpack(packing, rows.subspan(static_cast<size_t>(row * from), static_cast<size_t>(row)),
           h.width, picture.samples.data() + samples * y);
  }
  if ((h.flags & 0x10) != 0) flip(picture);
}

}  // namespace

bool is_tga(std::string_view bytes) {
  constexpr size_t kHeader = 18;
  if (bytes.size() < kHeader) return false;
  const std::string none;
  const ImageLimits limits;
  const PictureFile file{bytes, none, limits};
  ByteReader in(file);
  return is_sound(read_header(in));
}

Picture decode_tga(const PictureFile& file) {
  ByteReader in(file);
  const Header h = read_header(in);
  const auto [mode, packing] = kind_of(file, h);
  Picture picture{mode, h.width, h.height, {}, {}, {}};
  file.require_size(h.width, h.height);
  file.require((h.flags & 0xC0) == 0,
               "a TGA of interleaved rows is not read; save it anew, as PNG");
  file.require(
      mode == Mode::palette || h.has_map == 0,
      "a TGA with colours that no pixel names, which Pillow misreads; save it anew, as PNG");
  in.take(h.id_bytes);
  if (mode == Mode::palette) picture.palette = read_palette(file, h, in);
  read_pixels(file, h, packing, in, picture);
  return picture;
}

}  // namespace diptych
