// tensor/io/gzip.cpp — inflating a gzip file with zlib, up to a limit.
#include "tensor/io/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <limits>

#include "tensor/types.h"

namespace diptych {
namespace {

// Owns zlib's state, so that an exception cannot leak it.
struct Inflater {
  z_stream stream{};
  Inflater() {
    check(inflateInit2(&stream, 16 + MAX_WBITS) == Z_OK, "gunzip: zlib failed to start");
  }
  ~Inflater() { inflateEnd(&stream); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
};

// Unpacks one gzip member onto the end of `out`; returns how many bytes of `bytes` it took.
size_t inflate_member(std::string_view bytes, size_t max_bytes, const std::string& name,
                      std::string& out) {
  Inflater inflater;
  z_stream& stream = inflater.stream;
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  std::array<char, 1 << 16> piece;
  for (int status = Z_OK; status != Z_STREAM_END;) {
    stream.next_out = reinterpret_cast<Bytef*>(piece.data());
    stream.avail_out = static_cast<uInt>(piece.size());
    status = inflate(&stream, Z_NO_FLUSH);
    check(status != Z_BUF_ERROR, "gunzip: '", name, "' is cut short");
    check(status == Z_OK || status == Z_STREAM_END, "gunzip: '", name, "' is damaged (",
          stream.msg != nullptr ? stream.msg : "bad data", ")");
    const size_t unpacked = piece.size() - stream.avail_out;
    check(unpacked <= max_bytes - out.size(), "gunzip: '", name, "' unpacks to more than ",
          max_bytes, " bytes");
    out.append(piece.data(), unpacked);
  }
  return bytes.size() - stream.avail_in;
}

}  // namespace

bool is_gzip(std::string_view bytes) { return bytes.starts_with("\x1f\x8b"); }

std::string gunzip(std::string_view bytes, int64_t max_bytes, const std::string& name) {
  check(is_gzip(bytes), "gunzip: '", name, "' is not a gzip file");
  check(std::max(bytes.size(), static_cast<size_t>(max_bytes)) < std::numeric_limits<uInt>::max(),
        "gunzip: '", name, "' is larger than 4 GiB");
  std::string out;
  while (is_gzip(bytes))  // members may follow each other
    bytes.remove_prefix(inflate_member(bytes, static_cast<size_t>(max_bytes), name, out));
  check(bytes.find_first_not_of('\0') == bytes.npos, "gunzip: '", name, "' has ", bytes.size(),
        " bytes of something else behind its end");
  return out;
}

}  // namespace diptych
