// data/tinted_fashion.cpp — colours, captions, splits and augmentation of the compositional task.
#include "data/tinted_fashion.h"

#include <algorithm>
#include <cmath>

#include "tensor/factory.h"

namespace diptych {

namespace tinted {

const std::array<Colour, kColours>& colours() {
  static constexpr std::array<Colour, kColours> kTable = {{{"red", {230, 25, 25}},
                                                           {"green", {30, 150, 40}},
                                                           {"blue", {40, 70, 235}},
                                                           {"yellow", {255, 235, 20}},
                                                           {"orange", {255, 130, 0}},
                                                           {"purple", {130, 30, 190}},
                                                           {"pink", {255, 140, 195}},
                                                           {"brown", {130, 75, 30}},
                                                           {"white", {255, 255, 255}},
                                                           {"cyan", {0, 220, 235}},
                                                           {"grey", {125, 125, 125}},
                                                           {"lime", {160, 255, 30}}}};
  return kTable;
}

const std::array<const char*, kGarments>& garments() {
  static constexpr std::array<const char*, kGarments> kTable = {
      "t-shirt", "trousers", "pullover", "dress", "coat",
      "sandal",  "shirt",    "sneaker",  "bag",   "ankle boot"};
  return kTable;
}

const std::array<const char*, kTemplates>& templates() {
  static constexpr std::array<const char*, kTemplates> kTable = {
      "a photo of a {}.",       "a picture of a {}.", "a {}.",   "a {} on a dark background.",
      "a small photo of a {}.", "this is a {}.",      "one {}.", "a product photo of a {}."};
  return kTable;
}

bool is_held_out(int colour, int garment) {
  return colour == garment || colour == (garment + 6) % kColours;
}

std::string class_name(int colour, int garment) {
  return std::string(colours().at(static_cast<size_t>(colour)).name) + ' ' +
         garments().at(static_cast<size_t>(garment));
}

std::vector<std::string> class_names() {
  std::vector<std::string> names;
  for (int colour = 0; colour < kColours; ++colour)
    for (int garment = 0; garment < kGarments; ++garment)
      names.push_back(class_name(colour, garment));
  return names;
}

std::string fill_template(int template_index, const std::string& what) {
  std::string text = templates().at(static_cast<size_t>(template_index));
  return text.replace(text.find("{}"), 2, what);
}

std::string caption(int colour, int garment, int template_index) {
  return fill_template(template_index, class_name(colour, garment));
}

}  // namespace tinted

namespace {

using namespace tinted;

constexpr uint64_t kFixedSeed = 0x71D7ED;  // of colours and templates outside training
constexpr int64_t kValidationEvery = 12;

int draw_below(PhiloxStream& random, int n) { return static_cast<int>(random.below(n)); }

// One of the colours training shows for this garment, all equally likely.
int draw_seen_colour(int garment, PhiloxStream& random) {
  std::vector<int> seen;
  for (int colour = 0; colour < kColours; ++colour)
    if (!is_held_out(colour, garment)) seen.push_back(colour);
  return seen[static_cast<size_t>(random.below(static_cast<int64_t>(seen.size())))];
}

// How a grey picture becomes a coloured one.
struct Look {
  std::array<double, 3> tint;        // colour as a fraction of full intensity
  int64_t shift_x = 0, shift_y = 0;  // to the right, downwards
  bool flip = false;
};

Look look_of(int colour) {
  const auto& rgb = colours()[static_cast<size_t>(colour)].rgb;
  return {{rgb[0] / 255.0, rgb[1] / 255.0, rgb[2] / 255.0}};
}

// Draws the same number of words whatever is switched on, so that options do not disturb each
// other.
void augment(const TintedOptions& options, PhiloxStream& random, Look& look) {
  const bool flip = random.uniform() < 0.5;
  look.flip = options.flip && flip;
  look.shift_x = random.below(2 * options.max_shift + 1) - options.max_shift;
  look.shift_y = random.below(2 * options.max_shift + 1) - options.max_shift;
  const double brightness = 1 + options.jitter * random.uniform(-1, 1);
  for (double& channel : look.tint) {
    const double tilt = 1 + options.jitter / 2 * random.uniform(-1, 1);
    channel = std::clamp(channel * brightness * tilt, 0.0, 1.0);
  }
}

RgbImage render(const uint8_t* grey, const Look& look) {
  constexpr int64_t n = FashionMnist::kSide;
  RgbImage image{n, n, std::vector<uint8_t>(3 * n * n)};
  for (int64_t y = 0; y < n; ++y) {
    for (int64_t x = 0; x < n; ++x) {
      const int64_t column = (look.flip ? n - 1 - x : x) - look.shift_x, row = y - look.shift_y;
      if (column < 0 || column >= n || row < 0 || row >= n) continue;  // black
      const double value = grey[row * n + column];
      for (size_t c = 0; c < 3; ++c)
        image.rgb[static_cast<size_t>(3 * (y * n + x)) + c] =
            static_cast<uint8_t>(std::lround(value * look.tint[c]));
    }
  }
  return image;
}

bool belongs(Split split, int64_t picture) {
  const bool validation = picture % kValidationEvery == 0;
  return split == Split::test || validation == (split == Split::validation);
}

const char* name_of_split(Split split) {
  return split == Split::train ? "train" : split == Split::validation ? "validation" : "test";
}

}  // namespace

TintedFashion::TintedFashion(const TintedOptions& options, const std::string& folder)
    : TintedFashion(options, load_fashion_mnist(options.split == Split::test, folder)) {}

TintedFashion::TintedFashion(const TintedOptions& options, FashionMnist pictures)
    : options_(options), pictures_(std::move(pictures)) {
  check(options.max_shift >= 0 && options.max_shift < FashionMnist::kSide, "tinted fashion: shift ",
        options.max_shift, " is not within the picture");
  check(options.jitter >= 0 && options.jitter <= 1 && options.caption_without_colour >= 0 &&
            options.caption_without_colour <= 1,
        "tinted fashion: jitter ", options.jitter, " and caption_without_colour ",
        options.caption_without_colour, " must lie in 0 … 1");
  for (int64_t i = 0; i < pictures_.size(); ++i)
    if (belongs(options.split, i)) members_.push_back(i);
}

TintedFashion::View TintedFashion::view(int64_t index, int64_t epoch) const {
  check(index >= 0 && index < size(), "tinted fashion: no picture ", index, " among ", size());
  const int64_t picture = members_[static_cast<size_t>(index)];
  const int garment = pictures_.labels[static_cast<size_t>(picture)];
  const bool training = options_.split == Split::train;
  const auto position = static_cast<uint64_t>(index);
  PhiloxStream random =
      training ? PhiloxStream(options_.seed, mix(static_cast<uint64_t>(epoch), position))
               : PhiloxStream(kFixedSeed, position);
  const int colour = training ? draw_seen_colour(garment, random) : draw_below(random, kColours);
  const int phrase = draw_below(random, kTemplates);
  Look look = look_of(colour);
  std::string what = class_name(colour, garment);
  if (training) {
    if (random.uniform() < options_.caption_without_colour)
      what = garments()[static_cast<size_t>(garment)];
    augment(options_, random, look);
  }
  return {render(pictures_.image(picture), look), fill_template(phrase, what), colour, garment};
}

Example TintedFashion::get(int64_t index, int64_t epoch) const {
  View seen = view(index, epoch);
  return {evaluation_bytes(to_picture(std::move(seen.image)), options_.preprocess),
          std::move(seen.caption), seen.colour * kGarments + seen.garment};
}

std::string TintedFashion::name_of(int64_t index) const {
  return std::string("fashion ") + name_of_split(options_.split) + ' ' + std::to_string(index);
}

}  // namespace diptych
