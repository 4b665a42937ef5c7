// data/fashion_mnist.h — the reader of Fashion-MNIST (Xiao et al., 2017) in idx format.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace diptych {

/// 28 × 28 grey pictures of ten garments.
struct FashionMnist {
  static constexpr int64_t kSide = 28;
  static constexpr int64_t kPixels = kSide * kSide;

  std::vector<uint8_t> images;  ///< (N, 28, 28), 0 is the background
  std::vector<uint8_t> labels;  ///< (N), 0 … 9

  int64_t size() const { return static_cast<int64_t>(labels.size()); }
  const uint8_t* image(int64_t i) const { return images.data() + i * kPixels; }
};

inline constexpr const char* kFashionMnistFolder = "/usr/share/datasets/fashion-mnist";

/// Reads the 60,000 training or 10,000 test pictures. Throws Error naming the Debian package if the
/// files are missing, the file if it is damaged.
FashionMnist load_fashion_mnist(bool test, const std::string& folder = kFashionMnistFolder);

/// From the contents of the two (unpacked) idx files; `name` appears in messages.
FashionMnist parse_fashion_mnist(std::string_view images, std::string_view labels,
                                 const std::string& name);

}  // namespace diptych
