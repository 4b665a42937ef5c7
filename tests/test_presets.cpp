// tests/test_presets.cpp — the models known by name: how large they are, how they start.
#include <doctest/doctest.h>

#include <cmath>

#include "clip/model.h"

using namespace diptych;

TEST_CASE("presets: OpenAI's nine models have exactly OpenAI's parameters") {
  const nn::ShapesOnly shapes_only;
  const std::pair<const char*, int64_t> counts[] = {
      {"RN50", 102007137},        {"RN101", 119688033},    {"RN50x4", 178300601},
      {"RN50x16", 290979217},     {"RN50x64", 623258305},  {"ViT-B/32", 151277313},
      {"ViT-B/16", 149620737},    {"ViT-L/14", 427616513}, {"ViT-L/14@336px", 427944193},
      {"ViT-bigG-14", 2539567105}};
  for (const auto& [name, count] : counts) {
    CAPTURE(name);
    CHECK(Clip(preset(name)).parameter_count() == count);
  }
}

TEST_CASE("presets: a ResNet starts with silent residual branches and OpenAI's attention pool") {
  Clip model(preset("tiny-resnet"));
  model.initialize(3);
  for (const auto& entry : model.state()) {
    CAPTURE(entry.name);
    const std::vector<double> values = entry.tensor.to_vector<double>();
    const auto all = [&](double v) {
      return std::all_of(values.begin(), values.end(), [v](double x) { return x == v; });
    };
    if (entry.name.ends_with("bn3.weight")) CHECK(all(entry.name == "visual.bn3.weight" ? 1 : 0));
    if (entry.name.ends_with("running_var")) CHECK(all(1));
    if (entry.name.ends_with("_proj.weight") && entry.name.starts_with("visual.attnpool")) {
      double squares = 0;
      for (const double v : values) squares += v * v;
      const double std = std::sqrt(squares / static_cast<double>(values.size()));
      CHECK(std == doctest::Approx(1 / std::sqrt(512.0)).epsilon(0.02).scale(0));  // width^-½
    }
  }
}
