// data/image/pnm.cpp — the portable anymaps P1 … P6 as Pillow 9.4 reads them.
#include <algorithm>
#include <cmath>

#include "data/image/byte_reader.h"
#include "data/image/packing.h"

namespace diptych {
namespace {

bool is_space(uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_digit(uint8_t c) { return c >= '0' && c <= '9'; }

// Numbers and digits as text, with comments from # to the end of the line.
class TextReader {
 public:
  TextReader(const PictureFile& file, int64_t position) : file_(file), in_(file, position) {}

  ByteReader& bytes() { return in_; }

  // Goes over white space and comments to the next byte, and over that; 0 at the end of the file.
  uint8_t next() {
    while (in_.left() > 0) {
      const uint8_t c = in_.byte();
      if (c == '#')
        skip_line();
      else if (!is_space(c))
        return c;
    }
    return 0;
  }

  // The byte behind a number is taken with it. Pillow would join numbers across a comment.
  int64_t number() {
    constexpr int kMostDigits = 10;
    int64_t value = 0;
    int digits = 0;
    uint8_t c = next();
    for (; is_digit(c) && digits <= kMostDigits; ++digits) {
      value = 10 * value + (c - '0');
      c = in_.left() > 0 ? in_.byte() : ' ';
    }
    file_.require(digits > 0 && digits <= kMostDigits && is_space(c),
                  "damaged: no number of at most ten digits before byte ", in_.position());
    return value;
  }

 private:
  void skip_line() {
    while (in_.left() > 0) {
      const uint8_t c = in_.byte();
      if (c == '\n' || c == '\r') return;
    }
  }

  const PictureFile& file_;
  ByteReader in_;
};

struct Header {
  bool text = false;
  int64_t width = 0, height = 0, bands = 1, most = 1;
  Mode mode = Mode::grey;
};

Header read_header(const PictureFile& file, TextReader& in) {
  const int kind = file.bytes[1] - '0';
  Header h;
  h.text = kind <= 3;
  h.width = in.number();
  h.height = in.number();
  file.require_size(h.width, h.height);
  h.mode = kind % 3 == 1 ? Mode::bilevel : kind % 3 == 2 ? Mode::grey : Mode::rgb;
  h.bands = bands(h.mode);
  if (h.mode == Mode::bilevel) return h;
  h.most = in.number();
  file.require(h.most > 0 && h.most < 65536, "damaged: the largest sample is ", h.most,
               "; it must be 1 to 65535");
  if (h.most > 255 && h.mode == Mode::grey) h.mode = Mode::grey_wide;
  return h;
}

// From 0 … most to 0 … 255, or 0 … 65535: rounded as in Python, half to even.
int32_t scaled(const Header& h, int64_t value) {
  const double top = h.mode == Mode::grey_wide ? 65535 : 255;
  const double exact = static_cast<double>(value) / static_cast<double>(h.most) * top;
  return static_cast<int32_t>(std::min(top, std::nearbyint(exact)));
}

// Fills the picture with count samples, each of what next() gives.
template <class F>
void fill(const Header& h, Picture& picture, const F& next) {
  const int64_t count = h.bands * h.width * h.height;
  if (h.mode == Mode::grey_wide) {
    picture.wide.resize(static_cast<size_t>(count));
    for (int32_t& sample : picture.wide) sample = scaled(h, next());
  } else {
    picture.samples.resize(static_cast<size_t>(count));
    for (uint8_t& sample : picture.samples) sample = static_cast<uint8_t>(scaled(h, next()));
  }
}

// A sample has at least one byte, and in most kinds another behind it: known before memory is
// spent.
void check_left(const PictureFile& file, const ByteReader& in, int64_t bytes) {
  file.require(bytes <= in.left(), "the file is cut short: ", in.left(),
               " bytes for samples that take ", bytes);
}

void read_text(const PictureFile& file, const Header& h, TextReader& in, Picture& picture) {
  const int64_t count = h.bands * h.width * h.height;
  check_left(file, in.bytes(), h.mode == Mode::bilevel ? count : 2 * count - 1);
  if (h.mode != Mode::bilevel)
    return fill(h, picture, [&] {
      const int64_t value = in.number();
      file.require(value <= h.most, "damaged: a sample of ", value, " where the largest is ",
                   h.most);
      return value;
    });
  fill(h, picture, [&]() -> int64_t {
    const uint8_t c = in.next();
    file.require(c == '0' || c == '1', "damaged: no 0 or 1 before byte ", in.bytes().position());
    return '1' - c;  // 1 is black
  });
}

void read_binary(const PictureFile& file, const Header& h, ByteReader& in, Picture& picture) {
  if (h.mode == Mode::bilevel) {
    const int64_t row = row_bytes(Packing::ink, h.width);
    check_left(file, in, row * h.height);
    picture.samples.resize(static_cast<size_t>(h.width * h.height));
    for (int64_t y = 0; y < h.height; ++y)
      unpack(Packing::ink, in.take(row), h.width, picture.samples.data() + y * h.width);
    return;
  }
  const int64_t bytes = h.most > 255 ? 2 : 1, count = h.bands * h.width * h.height;
  check_left(file, in, bytes * count);
  if (h.most == 255) {
    const auto samples = in.take(count);
    picture.samples.assign(samples.begin(), samples.end());
    return;
  }
  fill(h, picture, [&]() -> int64_t {
    const auto sample = in.take(bytes);
    return bytes == 1 ? sample[0] : sample[0] << 8 | sample[1];
  });
}

}  // namespace

Picture decode_pnm(const PictureFile& file) {
  TextReader in(file, 2);
  const Header h = read_header(file, in);
  Picture picture{h.mode, h.width, h.height, {}, {}, {}};
  if (h.text)
    read_text(file, h, in, picture);
  else
    read_binary(file, h, in.bytes(), picture);
  return picture;
}

}  // namespace diptych
