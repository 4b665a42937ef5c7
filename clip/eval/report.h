// clip/eval/report.h — a picture of what a model sees: examples with their best captions.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "clip/eval/accuracy.h"
#include "data/image/transform.h"

namespace diptych {

/// Pictures below one heading.
struct ReportGroup {
  std::string title;
  std::vector<size_t> rows;  ///< of the predictions
};

/// What a report is of.
struct ReportSource {
  std::vector<std::string> names;                  ///< of the classes
  std::function<RgbImage(int64_t index)> picture;  ///< of the dataset, to look at
  std::vector<ReportGroup> groups;
};

/// The first rows, at most as many as a group shows, whose label is `wanted`. The choice does not
/// look at the predictions.
std::vector<size_t> first_rows(const Predictions&,
                               const std::function<bool(int64_t label)>& wanted);
/// As many at equal distances over all rows.
std::vector<size_t> spread_rows(const Predictions&);

/// Writes <folder>/report.svg: each picture with the three classes it was taken for, the right one
/// in green, below them if it is none of the three. Beside it labels.txt with all class names, to
/// try `diptych classify` on.
void write_report(const std::string& folder, const ReportSource&, const Predictions&);
/// Writes the pictures of a group as <folder>/02-lime-ankle-boot.png, by their classes.
void save_examples(const std::string& folder, const ReportSource&, const Predictions&,
                   const ReportGroup&);

}  // namespace diptych
