// clip/report.cpp — an SVG of examples.
#include "clip/report.h"

#include <fmt/core.h>

#include "data/image.h"
#include "tensor/file.h"

namespace diptych {
namespace {

constexpr int kColumns = 6, kRows = 2;  // per group
constexpr int kCellWidth = 150, kCellHeight = 170, kPicture = 84, kMargin = 20, kHeading = 34;

std::string base64(const std::string& bytes) {
  static constexpr char kDigits[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t word = 0;
    for (size_t k = 0; k < 3; ++k)
      word = word << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    for (size_t k = 0; k < 4; ++k)
      out += i + k <= bytes.size() ? kDigits[word >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

std::string label_name(int64_t label) {
  return tinted::class_name(static_cast<int>(label / tinted::kGarments),
                            static_cast<int>(label % tinted::kGarments));
}

std::string text(int x, int y, const std::string& style, const std::string& content) {
  return fmt::format("<text x=\"{}\" y=\"{}\" {}>{}</text>\n", x, y, style, content);
}

std::string cell(const TintedFashion& dataset, const Predictions& predictions, size_t i, int x,
                 int y) {
  const auto view = dataset.view(static_cast<int64_t>(i), 0);
  const int left = x + (kCellWidth - kPicture) / 2, middle = x + kCellWidth / 2;
  std::string svg = fmt::format(
      "<image x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" style=\"image-rendering:pixelated\" "
      "href=\"data:image/png;base64,{}\"/>\n",
      left, y, kPicture, kPicture, base64(encode_png(view.image)));
  const auto& ranked = predictions.ranked[i];
  for (size_t k = 0; k < std::min<size_t>(3, ranked.size()); ++k) {
    const bool right = ranked[k] == predictions.labels[i];
    const std::string style = fmt::format("text-anchor=\"middle\" fill=\"{}\" {}",
                                          right    ? "#1a7f37"
                                          : k == 0 ? "#b3261e"
                                                   : "#888",
                                          k == 0 ? "font-weight=\"bold\"" : "font-size=\"11\"");
    svg += text(middle, y + kPicture + 18 + 17 * static_cast<int>(k), style, label_name(ranked[k]));
  }
  return svg;
}

}  // namespace

void write_report(const std::string& path, const TintedFashion& dataset,
                  const Predictions& predictions, const std::function<bool(int64_t)>& held_out) {
  const int group_height = kHeading + kRows * kCellHeight;
  const int width = 2 * kMargin + kColumns * kCellWidth, height = 2 * kMargin + 2 * group_height;
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} "
      "{1}\" "
      "font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"{0}\" height=\"{1}\" "
      "fill=\"white\"/>\n",
      width, height);
  for (const bool unseen : {true, false}) {
    const int top = kMargin + (unseen ? 0 : group_height);
    svg += text(kMargin, top + 14, "font-size=\"15\"",
                unseen ? "Combinations of colour and garment never seen in training"
                       : "Combinations seen in training (other pictures)");
    int shown = 0;
    for (size_t i = 0; i < predictions.labels.size() && shown < kColumns * kRows; ++i) {
      if (held_out(predictions.labels[i]) != unseen) continue;
      svg += cell(dataset, predictions, i, kMargin + shown % kColumns * kCellWidth,
                  top + kHeading + shown / kColumns * kCellHeight);
      ++shown;
    }
  }
  write_file_atomically(path, svg + "</svg>\n");
}

}  // namespace diptych
