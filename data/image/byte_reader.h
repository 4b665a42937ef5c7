// data/image/byte_reader.h — the bytes and little-endian numbers of a picture file, in order.
#pragma once

#include <span>

#include "data/image/picture_file.h"

namespace diptych {

/// Reads on from a position. Throws Error where the file ends too early.
class ByteReader {
 public:
  explicit ByteReader(const PictureFile& file, int64_t position = 0)
      : file_(file), position_(position) {}

  int64_t position() const { return position_; }
  int64_t left() const { return static_cast<int64_t>(file_.bytes.size()) - position_; }

  std::span<const uint8_t> take(int64_t count) {
    file_.require(count <= left(), "the file is cut short: it ends at byte ", file_.bytes.size(),
                  ", in what begins at byte ", position_);
    const auto* begin = reinterpret_cast<const uint8_t*>(file_.bytes.data()) + position_;
    position_ += count;
    return {begin, static_cast<size_t>(count)};
  }

  uint8_t byte() { return take(1)[0]; }
  int64_t u16() { return number(2); }
  int64_t u32() { return number(4); }

 private:
  int64_t number(int64_t bytes) {
    int64_t value = 0, shift = 0;
    for (const uint8_t byte : take(bytes)) {
      value |= int64_t{byte} << shift;
      shift += 8;
    }
    return value;
  }

  const PictureFile& file_;
  int64_t position_;
};

}  // namespace diptych
