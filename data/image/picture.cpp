// data/image/picture.cpp — crops and margins in a picture's own mode.
#include "data/image/picture.h"

#include <algorithm>

#include "tensor/types.h"

namespace diptych {
namespace {

// Copies a rectangle of samples to position (x, y) of a picture `width` pixels wide.
template <class T>
void paste(const std::vector<T>& from, int64_t from_width, const Box& box, int64_t n, int64_t x,
           int64_t y, int64_t width, std::vector<T>& to) {
  for (int64_t row = 0; row < box.height && !from.empty(); ++row)
    std::copy_n(from.data() + n * ((box.y + row) * from_width + box.x), n * box.width,
                to.data() + n * ((y + row) * width + x));
}

// A picture of zeros with that mode and palette, and a rectangle of the other one at (x, y).
Picture framed(const Picture& picture, const Box& box, int64_t x, int64_t y, int64_t width,
               int64_t height) {
  const int64_t n = bands(picture.mode);
  const auto count = static_cast<size_t>(n * width * height);
  Picture out{picture.mode, width, height, {}, {}, picture.palette};
  if (picture.mode == Mode::grey_wide)
    out.wide.resize(count);
  else
    out.samples.resize(count);
  paste(picture.samples, picture.width, box, n, x, y, width, out.samples);
  paste(picture.wide, picture.width, box, n, x, y, width, out.wide);
  return out;
}

}  // namespace

int64_t bands(Mode mode) {
  switch (mode) {
    case Mode::grey_alpha:
      return 2;
    case Mode::rgb:
      return 3;
    case Mode::rgba:
    case Mode::cmyk:
      return 4;
    default:
      return 1;
  }
}

void check_complete(const char* op, const Picture& picture) {
  const bool wide = picture.mode == Mode::grey_wide;
  const size_t samples = wide ? picture.wide.size() : picture.samples.size();
  check(picture.width > 0 && picture.height > 0 &&
            static_cast<int64_t>(samples) == bands(picture.mode) * picture.width * picture.height,
        op, ": ", picture.width, " x ", picture.height, " pixels with ", samples, " samples");
  check(picture.mode != Mode::palette || picture.palette.size() == 256, op, ": a palette of ",
        picture.palette.size(), " colours; there must be 256");
}

Picture crop(const Picture& picture, const Box& box) {
  check_complete("crop", picture);
  check(box.x >= 0 && box.y >= 0 && box.width > 0 && box.height > 0 &&
            box.x <= picture.width - box.width && box.y <= picture.height - box.height,
        "crop: box ", box.width, " x ", box.height, " at (", box.x, ", ", box.y,
        ") leaves the picture of ", picture.width, " x ", picture.height);
  return framed(picture, box, 0, 0, box.width, box.height);
}

Picture pad(const Picture& picture, int64_t width, int64_t height) {
  check_complete("pad", picture);
  check(width >= picture.width && height >= picture.height, "pad: ", picture.width, " x ",
        picture.height, " does not fit into ", width, " x ", height);
  return framed(picture, {0, 0, picture.width, picture.height}, (width - picture.width) / 2,
                (height - picture.height) / 2, width, height);
}

}  // namespace diptych
