// clip/curves/picture.cpp — which panels there are, and where.
#include "clip/curves/picture.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "clip/curves/panel.h"
#include "tensor/types.h"

namespace diptych::curves {
namespace {

constexpr int kWidth = 960, kMargin = 24, kGap = 32, kPanelHeight = 246, kLegendRow = 22;
constexpr size_t kMostLetters = 48;  // of a name in the legend

// Okabe and Ito's, without the yellow: colour-blind people can tell them apart.
constexpr const char* kColours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                    "#e69f00", "#56b4e9", "#7b4fa3", "#4d4d4d"};

std::string colour(size_t run, size_t runs) {
  if (runs <= std::size(kColours)) return kColours[run];
  return fmt::format("hsl({},65%,{}%)", 360 * run / runs, run % 2 ? 30 : 44);
}

/// A figure by its name in the records, and how it is drawn.
struct Kind {
  const char* name;
  Stroke stroke;
};

// Empty if no run has it.
Panel panel_of(const std::vector<History>& runs, Panel panel, const std::vector<Kind>& kinds) {
  for (const Kind& kind : kinds)
    for (size_t i = 0; i < runs.size(); ++i)
      if (const Series& series = runs[i].of(kind.name); !series.empty())
        panel.curves.push_back({&series, colour(i, runs.size()), kind.stroke});
  return panel;
}

// ln B of each batch size that was used: at most three, more would be a grid.
std::vector<Level> chance_levels(const std::vector<History>& runs) {
  std::set<double> levels;
  for (const History& run : runs)
    if (const Series& chance = run.of("chance_loss"); !chance.empty())
      if (std::isfinite(chance.back().y)) levels.insert(chance.back().y);
  std::vector<Level> drawn;
  if (levels.size() > 3) return drawn;
  for (const double y : levels)
    drawn.push_back({y, fmt::format("ln {:.0f} = {:.2f}", std::exp(y), y)});
  return drawn;
}

// Where the mean over the steps since the last record is told, one batch's loss is beside it.
Panel loss_panel(const std::vector<History>& runs) {
  const auto any = [&](const char* name) {
    return std::any_of(runs.begin(), runs.end(),
                       [&](const History& r) { return !r.of(name).empty(); });
  };
  const bool floor = any("loss_floor");
  Panel panel{
      "loss", floor ? "dotted: least possible" : "", Spread::automatic, {}, chance_levels(runs)};
  if (any("mean_loss"))
    panel.note = "faint: one batch" + std::string(floor ? ", dotted: its floor" : "");
  for (size_t i = 0; i < runs.size(); ++i) {
    const bool mean = !runs[i].of("mean_loss").empty();
    const auto add = [&](const char* name, Stroke stroke) {
      if (const Series& series = runs[i].of(name); !series.empty())
        panel.curves.push_back({&series, colour(i, runs.size()), stroke});
    };
    add("loss_floor", Stroke::dotted);
    add("loss", mean ? Stroke::faint : Stroke::solid);
    add("mean_loss", Stroke::solid);
  }
  return panel;
}

std::vector<Panel> panels_of(const std::vector<History>& runs) {
  std::vector<Panel> panels{
      loss_panel(runs),
      panel_of(runs, {"validation loss", "", Spread::automatic, {}, {}},
               {{"val/loss", Stroke::solid}}),
      panel_of(
          runs, {"R@1", "dashed: text to image", Spread::linear, {}, {}},
          {{"val/image_to_text_R@1", Stroke::solid}, {"val/text_to_image_R@1", Stroke::dashed}}),
      panel_of(runs, {"zero-shot accuracy", "dashed: among the first five", Spread::linear, {}, {}},
               {{"val/acc1", Stroke::solid}, {"val/acc5", Stroke::dashed}}),
      panel_of(runs, {"learning rate", "", Spread::by_peaks, {}, {}}, {{"lr", Stroke::solid}}),
      panel_of(runs, {"logit scale", "", Spread::automatic, {}, {}},
               {{"logit_scale", Stroke::solid}}),
      panel_of(runs, {"gradient norm", "", Spread::automatic, {}, {}},
               {{"grad_norm", Stroke::solid}})};
  std::erase_if(panels, [](const Panel& panel) { return panel.curves.empty(); });
  return panels;
}

struct Legend {
  std::string elements;
  int height;
};

Legend legend_of(const std::vector<History>& runs) {
  constexpr double kFont = 13, kSwatch = 26, kBetween = 22;
  double x = kMargin, y = kMargin + 8;
  std::string out;
  for (size_t i = 0; i < runs.size(); ++i) {
    const std::string name = svg::shortened(runs[i].name, kMostLetters);
    const double width = kSwatch + svg::width_of(name, kFont) + kBetween;
    if (x > kMargin && x + width - kBetween > kWidth - kMargin) {
      x = kMargin;
      y += kLegendRow;
    }
    out += svg::line({x, y - 4}, {x + 18, y - 4},
                     fmt::format("stroke=\"{}\" stroke-width=\"3\"", colour(i, runs.size())));
    out += svg::text({x + kSwatch, y}, "font-size=\"13\"", name);
    x += width;
  }
  return {out, static_cast<int>(y) + 14};
}

Axis pairs_axis(const std::vector<Panel>& panels) {
  int64_t last = 0;
  for (const Panel& panel : panels)
    for (const Curve& curve : panel.curves) last = std::max(last, curve.points->back().samples);
  return linear_axis(0, static_cast<double>(std::max<int64_t>(last, 1)), 6, /*whole=*/false);
}

}  // namespace

std::string picture_of(const std::vector<History>& runs) {
  const std::vector<Panel> panels = panels_of(runs);
  check(!panels.empty(), "curves: no run has told anything yet: no record is in metrics.jsonl of '",
        runs.empty() ? "" : runs[0].folder, "'", runs.size() > 1 ? " or of the others" : "");
  const Axis x = pairs_axis(panels);
  Legend legend = legend_of(runs);
  const double width = (kWidth - 2 * kMargin - kGap) / 2.0;
  for (size_t i = 0; i < panels.size(); ++i) {
    const Area area{kMargin + static_cast<double>(i % 2) * (width + kGap),
                    static_cast<double>(legend.height) + static_cast<double>(i / 2) * kPanelHeight,
                    width, kPanelHeight};
    legend.elements += draw(panels[i], x, area);
  }
  const int rows = static_cast<int>(panels.size() + 1) / 2;
  return svg::document(kWidth, legend.height + rows * kPanelHeight + kMargin / 2, "Training curves",
                       legend.elements);
}

}  // namespace diptych::curves
