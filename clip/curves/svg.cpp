// clip/curves/svg.cpp — numbers and text of an SVG.
#include "clip/curves/svg.h"

#include <fmt/core.h>

#include <cmath>

#include "data/text/unicode.h"

namespace diptych::svg {
namespace {

// One decimal, and none of a whole number.
std::string number(double x) {
  const double tenths = std::round(x * 10);
  return fmt::format("{:g}", tenths == 0 ? 0 : tenths / 10);
}

std::string markup(char32_t c) {
  switch (c) {
    case '&':
      return "&amp;";
    case '<':
      return "&lt;";
    case '>':
      return "&gt;";
    case '"':
      return "&quot;";
    default:
      return encode_utf8({&c, 1});
  }
}

// XML 1.0, section 2.2, and the controls that nobody can see.
bool is_printable(char32_t c) {
  return c >= 0x20 && (c < 0x7f || c > 0x9f) && c != 0xfffe && c != 0xffff;
}

}  // namespace

std::string escaped(std::string_view text) {
  std::string out;
  for (const char32_t c : decode_utf8(text)) out += is_printable(c) ? markup(c) : "?";
  return out;
}

std::string document(int width, int height, std::string_view title, const std::string& content) {
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} "
      "{1}\" font-family=\"sans-serif\" font-size=\"12\">\n<title>{2}</title>\n"
      "<rect width=\"{0}\" height=\"{1}\" fill=\"white\"/>\n{3}</svg>\n",
      width, height, escaped(title), content);
}

std::string text(At at, std::string_view style, std::string_view content) {
  return fmt::format("<text x=\"{}\" y=\"{}\" {}>{}</text>\n", number(at.x), number(at.y), style,
                     escaped(content));
}

std::string line(At from, At to, std::string_view style) {
  return fmt::format("<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" {}/>\n", number(from.x),
                     number(from.y), number(to.x), number(to.y), style);
}

std::string circle(At at, double radius, std::string_view style) {
  return fmt::format("<circle cx=\"{}\" cy=\"{}\" r=\"{}\" {}/>\n", number(at.x), number(at.y),
                     number(radius), style);
}

std::string path(const std::vector<At>& points, std::string_view style) {
  std::string list;
  for (const At& p : points)
    list += fmt::format("{}{},{}", list.empty() ? "" : " ", number(p.x), number(p.y));
  return fmt::format("<polyline points=\"{}\" {}/>\n", list, style);
}

std::string shortened(std::string_view text, size_t letters) {
  const std::u32string all = decode_utf8(text);
  if (all.size() <= letters) return std::string(text);
  const size_t half = (letters - 1) / 2;
  return encode_utf8(all.substr(0, half) + U'…' + all.substr(all.size() - half));
}

double width_of(std::string_view text, double font_size) {
  return 0.62 * font_size * static_cast<double>(decode_utf8(text).size());
}

}  // namespace diptych::svg
