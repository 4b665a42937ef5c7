// clip/cli/curves_tables.h — what `diptych curves` prints.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "clip/curves/settings.h"
#include "clip/curves/summary.h"

namespace diptych::cli {

struct ComparedRun {
  const curves::History& history;  ///< must outlive it
  curves::Summary summary;
  std::optional<curves::Settings> settings;  ///< nothing if they are not known
  std::vector<std::string> notes;            ///< what was left out of its files
};

/// Final figures, a column for each run.
std::string figures_table(const std::vector<ComparedRun>&);
/// The settings that differ between the runs whose settings are known, or a word that none does.
std::string settings_table(const std::vector<ComparedRun>&);
/// Both, and the notes, as one JSON object; a figure that is no number is null.
std::string json_of(const std::vector<ComparedRun>&, const std::string& out);

}  // namespace diptych::cli
