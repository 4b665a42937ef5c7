// clip/curves/axis.h — where a value stands on an axis, and the round numbers beside it.
#pragma once

#include <string>
#include <vector>

namespace diptych::curves {

/// From `low` to `high`, which differ; of a logarithmic one both are positive.
struct Axis {
  double low = 0, high = 1;
  bool logarithmic = false;
  std::vector<double> ticks;  ///< within [low, high], ascending

  /// 0 at `low`, 1 at `high`; values beyond an end stand there. Not for NaN.
  double place(double value) const;
  /// "0.25", "15k", "0.5e-3": short, and all in the unit of the largest where the axis is linear.
  std::string label(double tick) const;
};

/// Holds every number from `low` to `high`; ticks at 1, 2 or 5 times a power of ten, about `ticks`
/// of them. With `whole` it ends at ticks, otherwise where the values do.
Axis linear_axis(double low, double high, int ticks, bool whole = true);
/// The same for positive numbers: ticks at powers of ten, or at 1, 2 and 5 times these where they
/// are few.
Axis logarithmic_axis(double low, double high, int ticks);

}  // namespace diptych::curves
