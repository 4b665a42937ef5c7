// clip/curves/panel.h — one diagram: curves of several runs over the pairs seen.
#pragma once

#include <string>
#include <vector>

#include "clip/curves/axis.h"
#include "clip/curves/history.h"
#include "clip/curves/svg.h"

namespace diptych::curves {

/// How a curve is drawn. A faint one is what varies around another.
enum class Stroke : uint8_t { solid, faint, dashed, dotted };

struct Curve {
  const Series* points;  ///< must outlive it
  std::string colour;
  Stroke stroke = Stroke::solid;
};

/// What is the same for all pairs: a dashed line across.
struct Level {
  double y;
  std::string label;
};

enum class Spread : uint8_t {
  linear,
  /// Logarithmic if all values are positive and the largest is at least a hundred times the least.
  automatic,
  /// The same of the curves' largest values: a rate falls to zero in every run.
  by_peaks
};

struct Panel {
  std::string title, note;
  Spread spread = Spread::linear;
  std::vector<Curve> curves;
  std::vector<Level> levels;
};

/// Where a panel stands, with title and labels.
struct Area {
  double x, y, width, height;
};

/// Per column of pixels at most the first, least, greatest and last of the finite values of a
/// curve, as places on the picture; where values are not finite the curve is broken.
std::vector<std::vector<svg::At>> thinned(const Series&, const Axis& x, const Axis& y, const Area&);

/// The elements of a panel. Values that are not finite are crosses at its upper edge.
std::string draw(const Panel&, const Axis& x, const Area&);

}  // namespace diptych::curves
