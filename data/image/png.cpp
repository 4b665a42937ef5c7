// data/image/png.cpp — PNG through libpng, in the mode Pillow gives each kind of file.
#include <png.h>

#include <csetjmp>
#include <cstdio>
#include <cstring>

#include "data/image/picture_file.h"

namespace diptych {
namespace {

// What libpng and its callbacks share. Plain data: the jump out of libpng runs no destructors.
struct Session {
  png_structp codec = nullptr;
  png_infop info = nullptr;
  const char* next = nullptr;
  size_t left = 0;
  png_uint_32 height = 0;
  int last_pass = 0;
  bool ends = false;    // at most two rows are missing
  size_t end_room = 0;  // bytes of image data that may still come
  char reason[128] = "out of memory";
};

[[noreturn]] void on_error(png_structp codec, png_const_charp text) {
  auto& session = *static_cast<Session*>(png_get_error_ptr(codec));
  std::snprintf(session.reason, sizeof session.reason, "%s", text);
  png_longjmp(codec, 1);
}

// A palette index without a colour, or data left over: Pillow takes such files, and so do we.
void on_warning(png_structp, png_const_charp) {}

// libpng unpacks image data to its end, however far beyond the last pixel that is. So as soon as
// that is near, what may follow is bounded. (It is told of each row but the last, or the last two
// of an interlaced picture, before it goes on.)
void on_row(png_structp codec, png_uint_32 rows, int pass) {
  auto& session = *static_cast<Session*>(png_get_io_ptr(codec));
  session.ends = session.ends || (pass == session.last_pass && rows + 2 >= session.height);
}

void limit_end(png_structp codec, Session& session, size_t bytes) {
  constexpr png_uint_32 kImageData = 0x49444154;  // IDAT
  if (!session.ends || png_get_io_chunk_type(codec) != kImageData) return;
  if (bytes > session.end_room) png_error(codec, "image data goes on behind the last pixel");
  session.end_room -= bytes;
}

void on_read(png_structp codec, png_bytep out, size_t bytes) {
  auto& session = *static_cast<Session*>(png_get_io_ptr(codec));
  if (bytes > session.left) png_error(codec, "truncated (no IEND chunk)");
  limit_end(codec, session, bytes);
  std::memcpy(out, session.next, bytes);
  session.next += bytes;
  session.left -= bytes;
}

// Runs a step of libpng; false if it failed, which it does by a jump to here.
template <class Step>
bool attempt(Session& session, const Step& step) {
  if (setjmp(png_jmpbuf(session.codec)) != 0) return false;
  step(session.codec, session.info);
  return true;
}

class PngReader {
 public:
  explicit PngReader(const PictureFile& file) : file_(file) {
    session_.next = file.bytes.data();
    session_.left = file.bytes.size();
    session_.codec = png_create_read_struct(PNG_LIBPNG_VER_STRING, &session_, on_error, on_warning);
    if (session_.codec != nullptr) session_.info = png_create_info_struct(session_.codec);
    if (session_.info == nullptr) destroy_and_refuse();
  }
  ~PngReader() { png_destroy_read_struct(&session_.codec, &session_.info, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  Picture read() {
    read_header();
    Picture picture;
    picture.width = png_get_image_width(session_.codec, session_.info);
    picture.height = png_get_image_height(session_.codec, session_.info);
    picture.mode = mode();
    file_.require_size(picture.width, picture.height);
    if (picture.mode == Mode::palette) picture.palette = palette();
    picture.samples = read_samples(picture);
    if (picture.mode == Mode::grey_wide) widen(picture);
    return picture;
  }

 private:
  [[noreturn]] void destroy_and_refuse() {
    png_destroy_read_struct(&session_.codec, &session_.info, nullptr);
    file_.refuse(session_.reason);
  }

  template <class Step>
  void run(const Step& step) {
    if (!attempt(session_, step)) file_.refuse(session_.reason);
  }

  void read_header() {
    run([this](png_structp codec, png_infop info) {
      png_set_read_fn(codec, &session_, on_read);
      png_set_crc_action(codec, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
      // Profiles and texts are skipped unread: unpacked, they could be of any size.
      png_set_keep_unknown_chunks(codec, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
      png_read_info(codec, info);
    });
  }

  Mode mode() const {
    const int depth = png_get_bit_depth(session_.codec, session_.info);
    switch (png_get_color_type(session_.codec, session_.info)) {
      case PNG_COLOR_TYPE_GRAY:
        return depth == 1 ? Mode::bilevel : depth == 16 ? Mode::grey_wide : Mode::grey;
      case PNG_COLOR_TYPE_PALETTE:
        return Mode::palette;
      case PNG_COLOR_TYPE_GRAY_ALPHA:
        return Mode::grey_alpha;
      case PNG_COLOR_TYPE_RGB:
        return Mode::rgb;
      default:
        return Mode::rgba;
    }
  }

  // An index beyond the file's palette shows as grey, as in Pillow.
  std::vector<std::array<uint8_t, 3>> palette() const {
    std::vector<std::array<uint8_t, 3>> colours(256);
    for (size_t i = 0; i < colours.size(); ++i) colours[i].fill(static_cast<uint8_t>(i));
    png_colorp stored = nullptr;
    int count = 0;
    png_get_PLTE(session_.codec, session_.info, &stored, &count);
    for (int i = 0; i < count; ++i)
      colours[static_cast<size_t>(i)] = {stored[i].red, stored[i].green, stored[i].blue};
    return colours;
  }

  // One byte per sample; two, the upper one first, in mode grey_wide.
  std::vector<uint8_t> read_samples(const Picture& picture) {
    const int64_t bytes =
        picture.width * bands(picture.mode) * (1 + (picture.mode == Mode::grey_wide));
    std::vector<uint8_t> samples(static_cast<size_t>(bytes * picture.height));
    std::vector<png_bytep> rows;
    for (int64_t y = 0; y < picture.height; ++y) rows.push_back(samples.data() + y * bytes);
    run([&](png_structp codec, png_infop info) {
      if (picture.mode == Mode::palette) png_set_packing(codec);
      if (picture.mode == Mode::bilevel || picture.mode == Mode::grey)
        png_set_expand_gray_1_2_4_to_8(codec);
      if (picture.mode != Mode::grey_wide) png_set_strip_16(codec);
      png_set_interlace_handling(codec);
      png_read_update_info(codec, info);
      if (static_cast<int64_t>(png_get_rowbytes(codec, info)) != bytes)
        png_error(codec, "unexpected length of a row");
      expect_end(picture.height, bytes);
      png_read_image(codec, rows.data());
      png_read_end(codec, nullptr);
    });
    return samples;
  }

  void expect_end(int64_t height, int64_t row_bytes) {
    constexpr size_t kRoom =
        1 << 14;  // two pieces as libpng reads them, of at most 16 MiB unpacked
    const bool interlaced =
        png_get_interlace_type(session_.codec, session_.info) != PNG_INTERLACE_NONE;
    session_.height = static_cast<png_uint_32>(height);
    session_.last_pass = interlaced ? PNG_INTERLACE_ADAM7_PASSES - 1 : 0;
    session_.ends = height <= 2;
    session_.end_room = kRoom + 3 * static_cast<size_t>(row_bytes);
    png_set_read_status_fn(session_.codec, on_row);
  }

  static void widen(Picture& picture) {
    const std::vector<uint8_t> bytes = std::move(picture.samples);
    picture.samples = {};
    picture.wide.reserve(bytes.size() / 2);
    for (size_t i = 0; i < bytes.size(); i += 2)
      picture.wide.push_back(bytes[i] << 8 | bytes[i + 1]);
  }

  const PictureFile& file_;
  Session session_;
};

}  // namespace

Picture decode_png(const PictureFile& file) { return PngReader(file).read(); }

}  // namespace diptych
