// clip/curves/panel.cpp — axes, curves and levels of a diagram.
#include "clip/curves/panel.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace diptych::curves {
namespace {

constexpr double kLeft = 52, kTop = 32, kBottom = 40;  // around the diagram, for titles and labels
constexpr double kHundred = 100;
constexpr size_t kFewPoints = 40;  // these are also marked

constexpr const char* kGrey = "fill=\"#666\" font-size=\"11\"";

struct Range {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  void add(double y) {
    if (!std::isfinite(y)) return;
    low = std::min(low, y);
    high = std::max(high, y);
  }
  bool empty() const { return low > high; }
  bool wide() const { return low > 0 && high >= kHundred * low; }
};

Range range_of(const Panel& panel) {
  Range range;
  for (const Level& level : panel.levels) range.add(level.y);
  for (const Curve& curve : panel.curves)
    for (const Point& p : *curve.points) range.add(p.y);
  return range;
}

Range peaks_of(const Panel& panel) {
  Range peaks;
  for (const Curve& curve : panel.curves) {
    Range own;
    for (const Point& p : *curve.points) own.add(p.y);
    if (!own.empty()) peaks.add(own.high);
  }
  return peaks;
}

// Rates end at zero, which a logarithmic axis has no place for: it begins below the lowest peak.
Axis value_axis(const Panel& panel) {
  constexpr int kTicks = 5;
  const Range all = range_of(panel), peaks = peaks_of(panel);
  if (all.empty()) return linear_axis(0, 1, kTicks);
  if (panel.spread == Spread::by_peaks && peaks.wide())
    return logarithmic_axis(std::max(all.low, peaks.low / kHundred), all.high, kTicks);
  if (panel.spread == Spread::automatic && all.wide())
    return logarithmic_axis(all.low, all.high, kTicks);
  return linear_axis(all.low, all.high, kTicks);
}

Area inner(const Area& area) {
  return {area.x + kLeft, area.y + kTop, area.width - kLeft, area.height - kTop - kBottom};
}

double across(const Axis& x, const Area& area, int64_t samples) {
  return area.x + area.width * x.place(static_cast<double>(samples));
}

double up(const Axis& y, const Area& area, double value) {
  return area.y + area.height * (1 - y.place(value));
}

std::string frame(const Panel& panel, const Axis& x, const Axis& y, const Area& area) {
  std::string out =
      svg::text({area.x, area.y - 12}, "font-size=\"14\" font-weight=\"bold\"", panel.title);
  if (!panel.note.empty())
    out += svg::text({area.x + area.width, area.y - 12},
                     std::string(kGrey) + " text-anchor=\"end\"", panel.note);
  const double bottom = area.y + area.height, right = area.x + area.width;
  for (const double tick : y.ticks) {
    const double at = up(y, area, tick);
    out += svg::line({area.x, at}, {right, at}, "stroke=\"#e5e5e5\"");
    out +=
        svg::text({area.x - 7, at + 4}, std::string(kGrey) + " text-anchor=\"end\"", y.label(tick));
  }
  for (const double tick : x.ticks) {
    const double at = area.x + area.width * x.place(tick);
    out += svg::line({at, bottom}, {at, bottom + 4}, "stroke=\"#999\"");
    out +=
        svg::text({at, bottom + 17}, std::string(kGrey) + " text-anchor=\"middle\"", x.label(tick));
  }
  out += svg::line({area.x, bottom}, {right, bottom}, "stroke=\"#999\"");
  return out + svg::text({area.x + area.width / 2, bottom + 31},
                         std::string(kGrey) + " text-anchor=\"middle\"", "pairs seen");
}

// What falls into one column of pixels, in the order of the curve.
class Column {
 public:
  void add(int64_t column, svg::At at, std::vector<svg::At>& out) {
    if (column != column_) flush(out);
    column_ = column;
    kept_.push_back(at);
    if (kept_.size() <= 4) return;
    // Of five, the one goes that is neither an end nor an extreme.
    const auto by_height = [](const svg::At& a, const svg::At& b) { return a.y < b.y; };
    const auto [least, greatest] = std::minmax_element(kept_.begin(), kept_.end(), by_height);
    for (auto it = kept_.begin() + 1; it != kept_.end() - 1; ++it) {
      if (it == least || it == greatest) continue;
      kept_.erase(it);
      return;
    }
  }
  void flush(std::vector<svg::At>& out) {
    out.insert(out.end(), kept_.begin(), kept_.end());
    kept_.clear();
  }

 private:
  int64_t column_ = -1;
  std::vector<svg::At> kept_;
};

std::string style_of(const Curve& curve) {
  constexpr const char* kStrokes[] = {
      "stroke-width=\"1.7\"", "stroke-width=\"1\" stroke-opacity=\"0.35\"",
      "stroke-width=\"1.5\" stroke-dasharray=\"6 4\"",
      "stroke-width=\"1\" stroke-opacity=\"0.7\" stroke-dasharray=\"1.5 3\""};
  return fmt::format("fill=\"none\" stroke=\"{}\" stroke-linejoin=\"round\" {}", curve.colour,
                     kStrokes[static_cast<size_t>(curve.stroke)]);
}

std::string marks(const Curve& curve, const std::vector<svg::At>& points) {
  const bool few = curve.points->size() <= kFewPoints && curve.stroke != Stroke::faint;
  std::string out;
  if (few || points.size() == 1)
    for (const svg::At& at : points)
      out += svg::circle(at, 2.2, fmt::format("fill=\"{}\"", curve.colour));
  return out;
}

// One per column of pixels.
std::string crosses(const Curve& curve, const Axis& x, const Area& area) {
  std::string out;
  double last = -1;
  for (const Point& p : *curve.points) {
    const double at = std::floor(across(x, area, p.samples));
    if (std::isfinite(p.y) || at == last) continue;
    last = at;
    const std::string style = fmt::format("stroke=\"{}\" stroke-width=\"1.5\"", curve.colour);
    out += svg::line({at - 3, area.y - 3}, {at + 3, area.y + 3}, style) +
           svg::line({at - 3, area.y + 3}, {at + 3, area.y - 3}, style);
  }
  return out;
}

std::string draw_curve(const Curve& curve, const Axis& x, const Axis& y, const Area& area) {
  std::string out;
  for (const auto& points : thinned(*curve.points, x, y, area)) {
    if (points.size() > 1) out += svg::path(points, style_of(curve));
    out += marks(curve, points);
  }
  return out + crosses(curve, x, area);
}

std::string draw_level(const Level& level, const Axis& y, const Area& area) {
  const double at = up(y, area, level.y), right = area.x + area.width;
  const bool below = at < area.y + 16;
  return svg::line({area.x, at}, {right, at}, "stroke=\"#444\" stroke-dasharray=\"5 4\"") +
         svg::text({right - 4, below ? at + 14 : at - 5},
                   "fill=\"#444\" font-size=\"11\" text-anchor=\"end\"", level.label);
}

}  // namespace

std::vector<std::vector<svg::At>> thinned(const Series& series, const Axis& x, const Axis& y,
                                          const Area& area) {
  std::vector<std::vector<svg::At>> parts(1);
  Column column;
  for (const Point& p : series) {
    if (!std::isfinite(p.y)) {
      column.flush(parts.back());
      if (!parts.back().empty()) parts.emplace_back();
      continue;
    }
    const double at = across(x, area, p.samples);
    column.add(static_cast<int64_t>(at), {at, up(y, area, p.y)}, parts.back());
  }
  column.flush(parts.back());
  if (parts.back().empty()) parts.pop_back();
  return parts;
}

std::string draw(const Panel& panel, const Axis& x, const Area& area) {
  const Area inside = inner(area);
  const Axis y = value_axis(panel);
  std::string out = "<g>\n" + frame(panel, x, y, inside);
  for (const Level& level : panel.levels) out += draw_level(level, y, inside);
  for (const Curve& curve : panel.curves) out += draw_curve(curve, x, y, inside);
  return out + "</g>\n";
}

}  // namespace diptych::curves
