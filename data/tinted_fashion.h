// data/tinted_fashion.h — Fashion-MNIST in twelve colours: a task where words combine.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/fashion_mnist.h"
#include "data/image/transform.h"

namespace diptych {

struct Colour {
  const char* name;
  std::array<uint8_t, 3> rgb;
};

namespace tinted {

inline constexpr int kColours = 12, kGarments = 10, kTemplates = 8;

const std::array<Colour, kColours>& colours();
const std::array<const char*, kGarments>& garments();    ///< in the order of the data set's labels
const std::array<const char*, kTemplates>& templates();  ///< "a photo of a {}."

/// Whether training never shows this combination: garment g lacks the colours g and (g + 6) mod 12,
/// 20 of 120. Each garment loses two colours, each colour one or two garments.
bool is_held_out(int colour, int garment);

std::string class_name(int colour, int garment);  ///< "red ankle boot"
std::vector<std::string> class_names();           ///< 120, at label = colour · 10 + garment
std::string fill_template(int template_index, const std::string& what);
std::string caption(int colour, int garment, int template_index);  ///< "a photo of a red bag."

}  // namespace tinted

enum class Split { train, validation, test };

struct TintedOptions {
  Split split = Split::train;
  uint64_t seed = 0;  ///< of colours, templates and augmentation in training; fixed elsewhere
  Preprocess preprocess = {.size = FashionMnist::kSide};
  double caption_without_colour = 0;  ///< how often a training caption leaves the colour out
  bool flip = false;                  ///< mirror every other training picture
  int max_shift = 0;                  ///< move by up to this many pixels in each direction
  double jitter = 0;                  ///< scale each channel by 1 ± up to this much
};

/// Pictures: grey × colour on black. Training (55,000) draws one of the ten seen colours of the
/// garment anew in every epoch. Validation (every 12th training picture, 5,000) and test (10,000)
/// fix a colour per picture, uniform over all twelve: about one in six is a combination never seen.
/// label = colour · 10 + garment.
class TintedFashion : public Dataset {
 public:
  explicit TintedFashion(const TintedOptions&, const std::string& folder = kFashionMnistFolder);
  /// Over given pictures; those of the split are selected as above. For tests.
  TintedFashion(const TintedOptions&, FashionMnist pictures);

  int64_t size() const override { return static_cast<int64_t>(members_.size()); }
  Example get(int64_t index, int64_t epoch) const override;
  std::string name_of(int64_t index) const override;

  /// The same pair as get(), as a picture to look at.
  struct View {
    RgbImage image;  ///< 28 × 28
    std::string caption;
    int colour, garment;
  };
  View view(int64_t index, int64_t epoch) const;

 private:
  TintedOptions options_;
  FashionMnist pictures_;
  std::vector<int64_t> members_;  // positions of this split in pictures_
};

}  // namespace diptych
