// tests/test_curves_picture.cpp — axes, curves and panels of `diptych curves`.
#include <doctest/doctest.h>

#include <cmath>
#include <set>

#include "clip/curves/panel.h"
#include "clip/curves/picture.h"
#include "tests/metrics.h"

using namespace diptych;
using namespace diptych::test;
using namespace diptych::curves;

namespace {

size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + part.size())) ++n;
  return n;
}

}  // namespace

TEST_CASE("curves: ticks are round, few, and as far apart as their labels say") {
  const double magnitudes[] = {1e-12, 3e-5, 0.07, 1, 42, 6e4, 1e9};
  for (const double size : magnitudes)
    for (const double from : {0.0, 0.1, 0.9, -3.0}) {
      CAPTURE(size);
      CAPTURE(from);
      const Axis axis = linear_axis(from * size, size, 5);
      CHECK(axis.low <= from * size);
      CHECK(axis.high >= size);
      CHECK(axis.ticks.size() >= 3);
      CHECK(axis.ticks.size() <= 8);
      CHECK(axis.place(axis.ticks.front()) == doctest::Approx(0));
      CHECK(axis.place(axis.ticks.back()) == doctest::Approx(1));
      std::set<std::string> labels;
      for (const double tick : axis.ticks) labels.insert(axis.label(tick));
      CHECK(labels.size() == axis.ticks.size());
    }
  for (const double same : {0.0, 7.0, -2.0}) CHECK(linear_axis(same, same, 5).ticks.size() >= 3);
  CHECK(linear_axis(0, 1050, 5, false).high == 1050);
}

TEST_CASE("curves: a logarithmic axis has powers of ten, and what is between where they are few") {
  const Axis wide = logarithmic_axis(3e-6, 0.2, 5);
  CHECK(wide.low <= 3e-6);
  CHECK(wide.high >= 0.2);
  for (size_t i = 1; i < wide.ticks.size(); ++i)
    CHECK(std::log10(wide.ticks[i] / wide.ticks[i - 1]) ==
          doctest::Approx(std::round(std::log10(wide.ticks[i] / wide.ticks[i - 1]))));
  CHECK(wide.place(std::sqrt(wide.low * wide.high)) == doctest::Approx(0.5));
  CHECK(wide.place(0) == 0);
  CHECK(logarithmic_axis(2, 8, 5).ticks.size() >= 3);
  CHECK(logarithmic_axis(1e-300, 1e300, 5).ticks.size() <= 8);
}

TEST_CASE("curves: labels are short, and of one unit where the axis is linear") {
  const auto labels = [](const Axis& axis) {
    std::string text;
    for (const double tick : axis.ticks) text += (text.empty() ? "" : " ") + axis.label(tick);
    return text;
  };
  CHECK(labels(linear_axis(0, 2e-3, 4)) == "0 0.5e-3 1e-3 1.5e-3 2e-3");
  CHECK(labels(linear_axis(0, 0.02, 4)) == "0 0.005 0.01 0.015 0.02");
  CHECK(labels(linear_axis(-2, 2, 4)) == "-2 -1 0 1 2");
  CHECK(labels(linear_axis(0, 1000, 5)) == "0 200 400 600 800 1000");
  CHECK(labels(linear_axis(0, 25600, 6, false)) == "0 5k 10k 15k 20k 25k");
  CHECK(labels(linear_axis(0, 1.5e6, 3)) == "0 0.5M 1M 1.5M");
  CHECK(labels(linear_axis(0, 2e16, 2)) == "0 1e16 2e16");
  CHECK(labels(logarithmic_axis(1e-5, 1e5, 5)) == "1e-5 1e-3 0.1 10 1000 100k");
  CHECK(labels(logarithmic_axis(2, 50, 6)) == "2 5 10 20 50");
}

TEST_CASE("curves: a long run is thinned, and no extreme is lost") {
  Series series;
  for (int64_t i = 0; i < 100000; ++i) series.push_back({i, i, std::sin(double(i) * 0.37)});
  series[31234].y = 9;
  series[71234].y = -7;
  series[500].y = NAN;
  const Axis x = linear_axis(0, 1e5, 5, false), y = linear_axis(-7, 9, 5);
  const curves::Area box{0, 0, 400, 200};
  const auto parts = thinned(series, x, y, box);
  REQUIRE(parts.size() == 2);  // broken where the NaN is
  size_t points = 0;
  double top = 1e9, bottom = -1e9;
  for (const auto& part : parts)
    for (const svg::At& at : part) {
      ++points;
      top = std::min(top, at.y);
      bottom = std::max(bottom, at.y);
    }
  CHECK(points <= 4 * 402);
  CHECK(points >= 2 * 400);
  CHECK(top == doctest::Approx(200 * (1 - y.place(9))));
  CHECK(bottom == doctest::Approx(200 * (1 - y.place(-7))));
  for (size_t i = 1; i < parts[1].size(); ++i) CHECK(parts[1][i].x >= parts[1][i - 1].x);
  Series few(series.begin(), series.begin() + 100);
  CHECK(thinned(few, linear_axis(0, 99, 5, false), y, box)[0].size() == 100);
}

TEST_CASE("curves: the picture has the panels that the runs have, and every name once") {
  const TempDir dir;
  const std::string plain = step_line(1, "3", ",\"chance_loss\":2.0794415,\"lr\":0.1") +
                            step_line(2, "2", ",\"chance_loss\":2.0794415,\"lr\":0.2");
  const auto a = run_in(dir, "a<&>\"\xff\x01", plain);
  const auto b = run_in(dir, "b", plain + val_line(2, "\"loss\":1,\"acc1\":0.5"));
  const std::string svg = picture_of(read_histories({a, b}));
  for (const char* title : {"loss", "learning rate", "validation loss", "zero-shot accuracy"})
    CHECK(count(svg, std::string(">") + title + "</text>") == 1);
  for (const char* title : {"R@1", "logit scale", "gradient norm"}) CHECK(!contains(svg, title));
  CHECK(contains(svg, ">a&lt;&amp;&gt;&quot;\xef\xbf\xbd?</text>"));
  CHECK(count(svg, ">b</text>") == 1);
  CHECK(count(svg, "ln 8 = 2.08") == 1);
  CHECK(contains(error_of([&] { picture_of(read_histories({run_in(dir, "c", "")})); }),
                 "no run has told anything yet"));
}

TEST_CASE("curves: long names lose their middle, by characters") {
  std::string name, ends;
  for (int i = 0; i < 60; ++i) name += "ü";
  for (int i = 0; i < 4; ++i) ends += i == 2 ? "…ü" : "ü";
  CHECK(svg::shortened(name, 5) == ends);
  CHECK(svg::shortened(name, 6) == ends);
  CHECK(svg::shortened(name, 60) == name);
}

TEST_CASE("curves: values that are not finite are crosses, not gaps that nobody sees") {
  const TempDir dir;
  const std::string run = run_in(
      dir, "a",
      step_line(1, "3") + step_line(2, "\"nan\"") + step_line(3, "\"inf\"") + step_line(4, "2"));
  const std::string svg = picture_of(read_histories({run}));
  CHECK(count(svg, "<polyline") == 0);
  CHECK(count(svg, "<circle") == 2);
  CHECK(count(svg, "stroke-width=\"1.5\"/>") == 4);  // two crosses
  CHECK(!contains(svg, "nan"));
  CHECK(!contains(svg, "inf"));
}
