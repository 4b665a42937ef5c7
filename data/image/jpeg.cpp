// data/image/jpeg.cpp — JPEG through libjpeg-turbo, set up as Pillow does: the accurate inverse
// DCT and smooth upsampling, which are the library's defaults.
#include <csetjmp>
// clang-format off
#include <cstdio>  // before jpeglib.h, which uses its types
#include <jerror.h>
#include <jpeglib.h>
// clang-format on

#include "data/image/picture_file.h"

namespace diptych {
namespace {

// Each scan of a progressive file may touch every coefficient, and a scan can be ten bytes long.
// Encoders write about ten scans.
constexpr int kMaxScans = 100;

// What libjpeg and its callbacks share. Plain data: the jump out of libjpeg runs no destructors.
struct Session {
  jpeg_decompress_struct codec{};
  jpeg_error_mgr errors{};
  jpeg_progress_mgr progress{};
  jmp_buf escape{};
  char reason[JMSG_LENGTH_MAX] = "";
};

Session& session_of(j_common_ptr codec) { return *static_cast<Session*>(codec->client_data); }

[[noreturn]] void on_error(j_common_ptr codec) {
  Session& session = session_of(codec);
  codec->err->format_message(codec, session.reason);
  longjmp(session.escape, 1);
}

// Oddities of a header that change no pixel. Every other warning means that pixels were made up.
bool is_harmless(int warning) {
  return warning == JWRN_JFIF_MAJOR || warning == JWRN_ADOBE_XFORM ||
         warning == JWRN_NOT_SEQUENTIAL;
}

void on_message(j_common_ptr codec, int level) {
  if (level < 0 && !is_harmless(codec->err->msg_code)) on_error(codec);
}

void on_progress(j_common_ptr codec) {
  Session& session = session_of(codec);
  if (session.codec.input_scan_number <= kMaxScans) return;
  std::snprintf(session.reason, sizeof session.reason, "more than %d scans", kMaxScans);
  longjmp(session.escape, 1);
}

// Runs a step of libjpeg; false if it failed, which it does by a jump to here.
template <class Step>
bool attempt(Session& session, const Step& step) {
  if (setjmp(session.escape) != 0) return false;
  step(session.codec);
  return true;
}

class JpegReader {
 public:
  explicit JpegReader(const PictureFile& file) : file_(file) {
    session_.codec.err = jpeg_std_error(&session_.errors);
    session_.codec.client_data = &session_;
    session_.errors.error_exit = on_error;
    session_.errors.emit_message = on_message;
    session_.progress.progress_monitor = on_progress;
  }
  ~JpegReader() { jpeg_destroy_decompress(&session_.codec); }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;

  Picture read() {
    read_header();
    const jpeg_decompress_struct& codec = session_.codec;
    Picture picture{
        mode_of(codec.num_components), codec.image_width, codec.image_height, {}, {}, {}};
    file_.require_size(picture.width, picture.height);
    picture.samples.resize(
        static_cast<size_t>(bands(picture.mode) * picture.width * picture.height));
    read_samples(picture);
    return picture;
  }

 private:
  template <class Step>
  void run(const Step& step) {
    if (!attempt(session_, step)) file_.refuse(session_.reason);
  }

  Mode mode_of(int components) const {
    file_.require(components == 1 || components == 3 || components == 4, "JPEG of ", components,
                  " components; there can be 1, 3 or 4");
    return components == 1 ? Mode::grey : components == 3 ? Mode::rgb : Mode::cmyk;
  }

  void read_header() {
    run([this](jpeg_decompress_struct& codec) {
      jpeg_create_decompress(&codec);
      codec.progress = &session_.progress;
      jpeg_mem_src(&codec, reinterpret_cast<const unsigned char*>(file_.bytes.data()),
                   file_.bytes.size());
      jpeg_read_header(&codec, TRUE);
    });
  }

  void read_samples(Picture& picture) {
    // The coefficients of a progressive file: two bytes each, in blocks of 8 × 8 padded to 32 × 32.
    const int64_t most = 8 * (picture.width + 31) * (picture.height + 31) + (int64_t{8} << 20);
    const int64_t row_bytes = bands(picture.mode) * picture.width;
    run([&](jpeg_decompress_struct& codec) {
      codec.out_color_space = picture.mode == Mode::grey  ? JCS_GRAYSCALE
                              : picture.mode == Mode::rgb ? JCS_RGB
                                                          : JCS_CMYK;
      codec.mem->max_memory_to_use = most;
      jpeg_start_decompress(&codec);
      while (codec.output_scanline < codec.output_height) {
        JSAMPROW row = picture.samples.data() + codec.output_scanline * row_bytes;
        jpeg_read_scanlines(&codec, &row, 1);
      }
      jpeg_finish_decompress(&codec);  // reads on to the end-of-image marker
    });
  }

  const PictureFile& file_;
  Session session_;
};

}  // namespace

Picture decode_jpeg(const PictureFile& file) {
  Picture picture = JpegReader(file).read();
  if (picture.mode == Mode::cmyk)  // as Pillow: every CMYK JPEG is taken for Adobe's, who invert it
    for (uint8_t& ink : picture.samples) ink = static_cast<uint8_t>(255 - ink);
  return picture;
}

}  // namespace diptych
