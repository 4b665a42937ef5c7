// clip/curves/summary.cpp — final figures of a run.
#include "clip/curves/summary.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace diptych::curves {
namespace {

std::vector<double> numbers(const Series& series, int64_t beyond_samples = -1) {
  std::vector<double> values;
  for (const Point& p : series)
    if (p.samples > beyond_samples && std::isfinite(p.y)) values.push_back(p.y);
  return values;
}

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double x : values) sum += x;
  return sum / static_cast<double>(values.size());  // 0 / 0 is NaN
}

double median(std::vector<double> values) {
  if (values.empty()) return NAN;
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 ? values[half] : (values[half - 1] + values[half]) / 2;
}

double last(const Series& series) { return series.empty() ? NAN : series.back().y; }

int64_t count(const Series& series) {
  const double x = last(series);
  return x > 0 && x < 0x1p53 ? static_cast<int64_t>(x) : 0;
}

Validation validation_of(const std::string& name, const Series& series) {
  const bool least = name.ends_with("loss") || name.ends_with("rank");
  Validation v{name, NAN, 0, last(series)};
  for (const Point& p : series) {
    if (!std::isfinite(p.y)) continue;
    if (std::isfinite(v.best) && (least ? p.y >= v.best : p.y <= v.best)) continue;
    v.best = p.y;
    v.best_step = p.step;
  }
  return v;
}

void read_position(Summary& s, const History& run) {
  for (const auto& [name, series] : run.series) {
    if (series.empty()) continue;
    s.steps = std::max(s.steps, series.back().step);
    s.pairs = std::max(s.pairs, series.back().samples);
  }
}

}  // namespace

Summary summary_of(const History& run) {
  Summary s;
  read_position(s, run);
  const Series& told = run.of(run.of("mean_loss").empty() ? "loss" : "mean_loss");
  s.loss = mean(numbers(told, std::min(s.pairs - s.pairs / 10, s.pairs - 1)));
  s.pairs_per_second = median(numbers(run.of("pairs_per_second")));
  s.skipped = count(run.of("skipped"));
  s.bad_samples = count(run.of("bad_samples"));
  constexpr std::string_view kPrefix = "val/";
  for (const auto& [name, series] : run.series)
    if (name.starts_with(kPrefix) && !series.empty())
      s.validation.push_back(validation_of(name.substr(kPrefix.size()), series));
  return s;
}

}  // namespace diptych::curves
