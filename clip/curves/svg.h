// clip/curves/svg.h — elements of an SVG picture, as text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace diptych::svg {

struct At {
  double x = 0, y = 0;
};

/// The picture around `content`, white, `width` by `height` pixels; `title` is read out to those
/// who cannot see it.
std::string document(int width, int height, std::string_view title, const std::string& content);

/// `style` is of further attributes: "fill=\"#888\" text-anchor=\"end\"". The content is escaped.
std::string text(At, std::string_view style, std::string_view content);
std::string line(At from, At to, std::string_view style);
std::string circle(At, double radius, std::string_view style);
/// A line through points; in the file they have one decimal.
std::string path(const std::vector<At>&, std::string_view style);

/// Text as XML can hold it: markup escaped, bytes that are no UTF-8 and control characters as "?".
std::string escaped(std::string_view);

/// UTF-8 of at most `letters` characters: the middle becomes "…", since ends tell names apart.
std::string shortened(std::string_view text, size_t letters);

/// How wide a sans-serif text will be at most, in pixels; no font is asked.
double width_of(std::string_view text, double font_size);

}  // namespace diptych::svg
