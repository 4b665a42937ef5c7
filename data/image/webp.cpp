// data/image/webp.cpp — WebP through libwebp, as in Pillow; of an animation the first frame.
#include <webp/decode.h>

#include "data/image/byte_reader.h"

namespace diptych {
namespace {

const char* reason_of(VP8StatusCode status) {
  switch (status) {
    case VP8_STATUS_NOT_ENOUGH_DATA:
    case VP8_STATUS_SUSPENDED:
      return "the file is cut short";
    case VP8_STATUS_OUT_OF_MEMORY:
      return "out of memory";
    case VP8_STATUS_UNSUPPORTED_FEATURE:
      return "an unknown feature of WebP";
    default:
      return "an error in the data of WebP";
  }
}

void require_ok(const PictureFile& file, VP8StatusCode status) {
  if (status != VP8_STATUS_OK) file.refuse(reason_of(status));
}

const uint8_t* start_of(std::string_view bytes) {
  return reinterpret_cast<const uint8_t*>(bytes.data());
}

WebPBitstreamFeatures features_of(const PictureFile& file, std::string_view bytes) {
  WebPBitstreamFeatures features;
  require_ok(file, WebPGetFeatures(start_of(bytes), bytes.size(), &features));
  return features;
}

// What libwebp decodes in one go, and where on the canvas that lies.
struct Frame {
  std::string_view bytes;
  Box box;
};

int64_t u24(ByteReader& in) {
  const int64_t low = in.u16();
  return low | int64_t{in.byte()} << 16;
}

// The first chunk ANMF: place and size, duration and flags, then the data of a picture.
Frame first_frame(const PictureFile& file) {
  constexpr int64_t kRiffHeader = 12;
  ByteReader in(file, kRiffHeader);
  for (;;) {
    const auto name = in.take(4);
    const int64_t size = in.u32(), begin = in.position();
    in.take(size + size % 2);
    if (std::string_view(reinterpret_cast<const char*>(name.data()), 4) != "ANMF") continue;
    ByteReader header(file, begin);
    Frame frame;
    frame.box.x = 2 * u24(header);
    frame.box.y = 2 * u24(header);
    frame.box.width = 1 + u24(header);
    frame.box.height = 1 + u24(header);
    header.take(4);
    file.require(header.position() <= begin + size, "damaged: a frame of WebP is too short");
    frame.bytes = file.bytes.substr(static_cast<size_t>(header.position()),
                                    static_cast<size_t>(begin + size - header.position()));
    return frame;
  }
}

void check_frame(const PictureFile& file, const Frame& frame, const Picture& canvas) {
  const Box& box = frame.box;
  const WebPBitstreamFeatures own = features_of(file, frame.bytes);
  file.require(own.width == box.width && own.height == box.height, "damaged: a frame of WebP is ",
               own.width, " x ", own.height, ", announced as ", box.width, " x ", box.height);
  file.require(box.x + box.width <= canvas.width && box.y + box.height <= canvas.height,
               "damaged: a frame of WebP leaves its canvas");
}

void decode(const PictureFile& file, const Frame& frame, Picture& picture) {
  WebPDecoderConfig config;
  if (WebPInitDecoderConfig(&config) == 0) file.refuse("libwebp is not the one it was built for");
  const int64_t n = bands(picture.mode), stride = n * picture.width;
  const int64_t at = frame.box.y * stride + n * frame.box.x;
  config.output.colorspace = picture.mode == Mode::rgba ? MODE_RGBA : MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA.rgba = picture.samples.data() + at;
  config.output.u.RGBA.stride = static_cast<int>(stride);
  config.output.u.RGBA.size = picture.samples.size() - static_cast<size_t>(at);
  require_ok(file, WebPDecode(start_of(frame.bytes), frame.bytes.size(), &config));
}

}  // namespace

Picture decode_webp(const PictureFile& file) {
  file.require(file.bytes.starts_with("RIFF"), "damaged: a WebP begins with RIFF");
  const WebPBitstreamFeatures features = features_of(file, file.bytes);
  Picture picture{features.has_alpha != 0 ? Mode::rgba : Mode::rgb,
                  features.width,
                  features.height,
                  {},
                  {},
                  {}};
  file.require_size(picture.width, picture.height);
  Frame frame{file.bytes, {0, 0, picture.width, picture.height}};
  if (features.has_animation != 0) frame = first_frame(file);
  check_frame(file, frame, picture);
  picture.samples.resize(static_cast<size_t>(bands(picture.mode) * picture.width * picture.height));
  decode(file, frame, picture);
  return picture;
}

}  // namespace diptych
