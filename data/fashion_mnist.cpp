// data/fashion_mnist.cpp — idx files: magic number, extents, bytes.
#include "data/fashion_mnist.h"

#include <algorithm>

#include "tensor/io/file.h"
#include "tensor/io/gzip.h"
#include "tensor/types.h"

namespace diptych {
namespace {

constexpr int64_t kMaxBytes = int64_t{64} << 20;

uint32_t big_endian(std::string_view bytes, size_t pos) {
  uint32_t value = 0;
  for (size_t i = pos; i < pos + 4; ++i) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

// The payload of an idx file of unsigned bytes. Extents: the count, then exactly `inner`.
std::string_view idx_payload(std::string_view bytes, const std::vector<uint32_t>& inner,
                             const std::string& name) {
  const auto rank = static_cast<uint32_t>(inner.size() + 1);
  const size_t header = 4 + 4 * size_t{rank};
  check(bytes.size() >= header, "idx: '", name, "' is cut short (", bytes.size(), " bytes)");
  check(big_endian(bytes, 0) == (0x800u | rank), "idx: '", name,
        "' does not start with the magic number of bytes in ", rank, " dimensions");
  uint64_t expected = big_endian(bytes, 4);
  for (size_t axis = 0; axis < inner.size(); ++axis) {
    check(big_endian(bytes, 8 + 4 * axis) == inner[axis], "idx: '", name, "': dimension ", axis + 1,
          " is ", big_endian(bytes, 8 + 4 * axis), ", expected ", inner[axis]);
    expected *= inner[axis];
  }
  check(bytes.size() - header == expected, "idx: '", name, "' holds ", bytes.size() - header,
        " bytes, its header announces ", expected);
  return bytes.substr(header);
}

std::string read_gzip(const std::string& path) {
  check(is_file(path), "fashion-mnist: '", path,
        "' is missing; install the Debian package dataset-fashion-mnist (make deps)");
  return gunzip(read_file(path, kMaxBytes), kMaxBytes, path);
}

}  // namespace

FashionMnist parse_fashion_mnist(std::string_view images, std::string_view labels,
                                 const std::string& name) {
  constexpr auto kSide = static_cast<uint32_t>(FashionMnist::kSide);
  const std::string_view pixels = idx_payload(images, {kSide, kSide}, name + "-images");
  const std::string_view classes = idx_payload(labels, {}, name + "-labels");
  check(pixels.size() == classes.size() * FashionMnist::kPixels, "fashion-mnist: '", name, "' has ",
        pixels.size() / FashionMnist::kPixels, " pictures and ", classes.size(), " labels");
  FashionMnist out{{pixels.begin(), pixels.end()}, {classes.begin(), classes.end()}};
  check(std::all_of(out.labels.begin(), out.labels.end(), [](uint8_t c) { return c < 10; }),
        "fashion-mnist: '", name, "' has a label above 9");
  return out;
}

FashionMnist load_fashion_mnist(bool test, const std::string& folder) {
  const std::string stem = folder + (test ? "/t10k" : "/train");
  return parse_fashion_mnist(read_gzip(stem + "-images-idx3-ubyte.gz"),
                             read_gzip(stem + "-labels-idx1-ubyte.gz"), stem);
}

}  // namespace diptych
