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

constexpr size_t kColumns = 6, kMostRows = 2;  // per group
constexpr size_t kGuesses = 3;
constexpr int kCellWidth = 150, kCellHeight = 170, kPicture = 84, kMargin = 20, kHeading = 34;
constexpr int kLine = 17;

std::string base64(const std::string& bytes) {
  std::string out(BASE64_ENCODE_RAW_LENGTH(bytes.size()), '\0');
  base64_encode_raw(out.data(), bytes.size(), reinterpret_cast<const uint8_t*>(bytes.data()));
  return out;
}

// As SVG shows it: no markup, no control characters, and not wider than its cell.
std::string escaped(const std::string& name) {
  constexpr size_t kMost = 24;
  size_t end = std::min(name.size(), kMost);
  while (end < name.size() && end > 0 && (name[end] & 0xc0) == 0x80) --end;  // not inside UTF-8
  std::string out;
  for (const char c : name.substr(0, end)) {
    if (c == '&' || c == '<' || c == '>')
      out += c == '&' ? "&amp;" : c == '<' ? "&lt;" : "&gt;";
    else
      out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out + (end < name.size() ? "…" : "");
}

std::string text(int x, int y, const std::string& style, const std::string& content) {
  return fmt::format("<text x=\"{}\" y=\"{}\" {}>{}</text>\n", x, y, style, content);
}

std::string guess(int x, int y, const std::string& name, bool right, bool first) {
  const char* colour = right ? "#1a7f37" : first ? "#b3261e" : "#888";
  return text(x, y,
              fmt::format("text-anchor=\"middle\" fill=\"{}\" {}", colour,
                          first ? "font-weight=\"bold\"" : "font-size=\"11\""),
              escaped(name));
}

// The best captions, and behind an arrow the right one that is not among them.
std::string guesses(const ReportSource& source, const Predictions& predictions, size_t i, int x,
                    int y) {
  const auto name = [&](int64_t label) { return source.names.at(static_cast<size_t>(label)); };
  const auto& ranked = predictions.ranked[i];
  const size_t shown = std::min(kGuesses, ranked.size());
  std::string svg;
  bool found = false;
  for (size_t k = 0; k < shown; ++k) {
    const bool right = ranked[k] == predictions.labels[i];
    found |= right;
    svg += guess(x, y + kLine * static_cast<int>(k), name(ranked[k]), right, k == 0);
  }
  if (found) return svg;
  return svg + guess(x, y + kLine * static_cast<int>(shown), "→ " + name(predictions.labels[i]),
                     /*right=*/true, /*first=*/false);
}

std::string cell(const ReportSource& source, const Predictions& predictions, size_t i, int x,
                 int y) {
  const int left = x + (kCellWidth - kPicture) / 2, middle = x + kCellWidth / 2;
  const RgbImage picture = source.picture(predictions.indices[i]);
  return fmt::format(
             "<image x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" "
             "style=\"image-rendering:pixelated\" href=\"data:image/png;base64,{}\"/>\n",
             left, y, kPicture, kPicture, base64(encode_png(picture))) +
         guesses(source, predictions, i, middle, y + kPicture + 18);
}

std::string open_svg(int width, int height) {
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} "
      "{1}\" "
      "font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"{0}\" height=\"{1}\" "
      "fill=\"white\"/>\n",
      width, height);
}

int height_of(const ReportGroup& group) {
  const size_t rows = (group.rows.size() + kColumns - 1) / kColumns;
  return kHeading + static_cast<int>(rows) * kCellHeight;
}

std::string drawn(const ReportSource& source, const Predictions& predictions,
                  const ReportGroup& group, int top) {
  std::string svg = text(kMargin, top + 14, "font-size=\"15\"", group.title);
  for (size_t k = 0; k < group.rows.size(); ++k) {
    const int column = static_cast<int>(k % kColumns), row = static_cast<int>(k / kColumns);
    svg += cell(source, predictions, group.rows[k], kMargin + column * kCellWidth,
                top + kHeading + row * kCellHeight);
  }
  return svg;
}

void make_folder(const std::string& folder) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  check(!failed, "report: cannot create '", folder, "': ", failed.message());
}

}  // namespace

std::vector<size_t> first_rows(const Predictions& predictions,
                               const std::function<bool(int64_t)>& wanted) {
  std::vector<size_t> rows;
  for (size_t i = 0; i < predictions.labels.size() && rows.size() < kColumns * kMostRows; ++i)
    if (wanted(predictions.labels[i])) rows.push_back(i);
  return rows;
}

std::vector<size_t> spread_rows(const Predictions& predictions) {
  const size_t n = predictions.labels.size(), shown = std::min(n, kColumns * kMostRows);
  std::vector<size_t> rows;
  for (size_t k = 0; k < shown; ++k) rows.push_back(k * n / shown);
  return rows;
}

void write_report(const std::string& folder, const ReportSource& source,
                  const Predictions& predictions) {
  make_folder(folder);
  int height = 2 * kMargin, top = kMargin;
  for (const ReportGroup& group : source.groups) height += height_of(group);
  std::string svg = open_svg(2 * kMargin + static_cast<int>(kColumns) * kCellWidth, height);
  for (const ReportGroup& group : source.groups) {
    svg += drawn(source, predictions, group, top);
    top += height_of(group);
  }
  write_file_atomically(folder + "/report.svg", svg + "</svg>\n");
  std::string labels;
  for (const std::string& name : source.names) labels += name + '\n';
  write_file_atomically(folder + "/labels.txt", labels);
}

void save_examples(const std::string& folder, const ReportSource& source,
                   const Predictions& predictions, const ReportGroup& group) {
  make_folder(folder);
  for (size_t k = 0; k < group.rows.size(); ++k) {
    const size_t i = group.rows[k];
    const auto label = static_cast<size_t>(predictions.labels[i]);
    std::string name = fmt::format("{:02}-{}", k, source.names.at(label));
    std::replace_if(
        name.begin(), name.end(), [](char c) { return c == ' ' || c == '/'; }, '-');
    save_png(folder + '/' + name + ".png", source.picture(predictions.indices[i]));
  }
}

}  // namespace diptych
