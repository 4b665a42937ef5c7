// clip/eval/report.cpp — an SVG of examples.
#include "clip/eval/report.h"

#include <fmt/core.h>
#include <nettle/base64.h>

#include <algorithm>
#include <filesystem>

#include "data/image/transform.h"
#include "tensor/io/file.h"

namespace diptych {
namespace {

constexpr int kColumns = 6, kRows = 2;  // per group
constexpr int kCellWidth = 150, kCellHeight = 170, kPicture = 84, kMargin = 20, kHeading = 34;
constexpr const char* kTitles[] = {"Combinations seen in training (other pictures)",
                                   "Combinations of colour and garment never seen in training"};

std::string base64(const std::string& bytes) {
  std::string out(BASE64_ENCODE_RAW_LENGTH(bytes.size()), '\0');
  base64_encode_raw(out.data(), bytes.size(), reinterpret_cast<const uint8_t*>(bytes.data()));
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

std::string open_svg(int width, int height) {
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} "
      "{1}\" "
      "font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"{0}\" height=\"{1}\" "
      "fill=\"white\"/>\n",
      width, height);
}

// 02-lime-ankle-boot.png
void save_example(const std::string& folder, const TintedFashion& dataset, size_t i, int number) {
  const auto view = dataset.view(static_cast<int64_t>(i), 0);
  std::string name = fmt::format("{:02}-{}", number, tinted::class_name(view.colour, view.garment));
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == ' ' || c == '/'; }, '-');
  save_png(folder + '/' + name + ".png", view.image);
}

}  // namespace

void write_report(const std::string& folder, const TintedFashion& dataset,
                  const Predictions& predictions, const std::function<bool(int64_t)>& held_out) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  check(!failed, "report: cannot create '", folder, "': ", failed.message());
  const int group_height = kHeading + kRows * kCellHeight;
  std::string svg = open_svg(2 * kMargin + kColumns * kCellWidth, 2 * kMargin + 2 * group_height);
  for (const bool unseen : {true, false}) {
    const int top = kMargin + (unseen ? 0 : group_height);
    svg += text(kMargin, top + 14, "font-size=\"15\"", kTitles[unseen]);
    int shown = 0;
    for (size_t i = 0; i < predictions.labels.size() && shown < kColumns * kRows; ++i) {
      if (held_out(predictions.labels[i]) != unseen) continue;
      const int column = shown % kColumns, row = shown / kColumns;
      svg += cell(dataset, predictions, i, kMargin + column * kCellWidth,
                  top + kHeading + row * kCellHeight);
      if (unseen) save_example(folder, dataset, i, shown);
      ++shown;
    }
  }
  write_file_atomically(folder + "/report.svg", svg + "</svg>\n");
  std::string labels;
  for (const std::string& name : tinted::class_names()) labels += name + '\n';
  write_file_atomically(folder + "/labels.txt", labels);
}

}  // namespace diptych
