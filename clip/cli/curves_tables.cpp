// clip/cli/curves_tables.cpp — figures and settings of runs, for people and for programs.
#include "clip/cli/curves_tables.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "clip/curves/svg.h"

namespace diptych::cli {
namespace {

using namespace curves;

using Json = nlohmann::ordered_json;
using Row = std::vector<std::string>;
using Runs = std::vector<ComparedRun>;

constexpr const char* kNone = "-";

size_t letters(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

// The first column to the left, the others to the right.
std::string aligned(const std::vector<Row>& rows) {
  std::vector<size_t> widths(rows[0].size());
  for (const Row& row : rows)
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], letters(row[i]));
  std::string out;
  for (const Row& row : rows) {
    std::string line = row[0];
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string gap(widths[i] - letters(row[i]), ' ');
      line += i == 0 ? gap : "  " + gap + row[i];
    }
    out += line + '\n';
  }
  return out;
}

template <class F>
Row row_of(const std::string& name, const Runs& runs, const F& cell) {
  Row row{name};
  for (const ComparedRun& run : runs) row.push_back(cell(run));
  return row;
}

std::string figure(double x) { return std::isfinite(x) ? fmt::format("{:.4g}", x) : kNone; }

std::string last_and_best(const Validation& v) {
  if (!std::isfinite(v.best)) return kNone;
  if (v.name == "pictures") return figure(v.last);
  if (v.last == v.best) return figure(v.last) + " (best)";
  return fmt::format("{}, best {} at {}", figure(v.last), figure(v.best), v.best_step);
}

const Validation* find(const ComparedRun& run, const std::string& name) {
  for (const Validation& v : run.summary.validation)
    if (v.name == name) return &v;
  return nullptr;
}

// R@10 stands behind R@5.
std::vector<std::string> validation_names(const Runs& runs) {
  std::map<std::string, std::string> sorted;
  for (const ComparedRun& run : runs)
    for (const Validation& v : run.summary.validation) {
      std::string key = v.name;
      if (const size_t at = key.find('@'); at + 2 == key.size()) key.insert(at + 1, "0");
      sorted[key] = v.name;
    }
  std::vector<std::string> names;
  for (const auto& [unused, name] : sorted) names.push_back(name);
  return names;
}

Row names_of(const Runs& runs) {
  return row_of("", runs, [](const ComparedRun& run) { return run.history.name; });
}

// Hashes and paths in full would be no table.
std::string cut(const std::string& value) {
  constexpr size_t kLetters = 33;
  return svg::shortened(value, kLetters);
}

/// The runs whose settings are known, in order.
struct Known {
  std::vector<std::string> names;
  std::vector<Settings> settings;
};

Known known_of(const Runs& runs) {
  Known known;
  for (const ComparedRun& run : runs) {
    if (!run.settings) continue;
    known.names.push_back(run.history.name);
    known.settings.push_back(*run.settings);
  }
  return known;
}

Json number(double x) { return std::isfinite(x) ? Json(x) : Json(); }

Json validation_json(const Summary& summary) {
  Json object = Json::object();
  for (const Validation& v : summary.validation)
    object[v.name] = {
        {"last", number(v.last)}, {"best", number(v.best)}, {"best_step", v.best_step}};
  return object;
}

Json run_json(const ComparedRun& run) {
  const History& h = run.history;
  const Summary& s = run.summary;
  return {{"name", h.name},
          {"folder", h.folder},
          {"steps", s.steps},
          {"pairs", s.pairs},
          {"loss", number(s.loss)},
          {"validation", validation_json(s)},
          {"pairs_per_second", number(s.pairs_per_second)},
          {"skipped", s.skipped},
          {"bad_samples", s.bad_samples},
          {"records", h.records},
          {"damaged_lines", h.damaged},
          {"taken_again", h.taken_again},
          {"keys_not_shown", h.unread},
          {"notes", run.notes}};
}

}  // namespace

std::string figures_table(const Runs& runs) {
  std::vector<Row> rows{names_of(runs)};
  const auto add = [&](const std::string& name, const auto& cell) {
    rows.push_back(row_of(name, runs, cell));
  };
  const auto summary = [](const auto& member) {
    return [member](const ComparedRun& run) { return fmt::format("{}", run.summary.*member); };
  };
  add("steps", summary(&Summary::steps));
  add("pairs", summary(&Summary::pairs));
  add("loss, last tenth", [](const ComparedRun& run) { return figure(run.summary.loss); });
  for (const std::string& name : validation_names(runs))
    add("val " + name, [&](const ComparedRun& run) {
      const Validation* v = find(run, name);
      return v ? last_and_best(*v) : kNone;
    });
  add("pairs/s, median",
      [](const ComparedRun& run) { return figure(run.summary.pairs_per_second); });
  add("steps skipped", summary(&Summary::skipped));
  add("bad samples", summary(&Summary::bad_samples));
  return aligned(rows);
}

std::string settings_table(const Runs& runs) {
  const Known known = known_of(runs);
  if (known.names.size() < 2)
    return fmt::format("settings are known of {} {}: nothing to compare\n", known.names.size(),
                       known.names.size() == 1 ? "run" : "runs");
  std::vector<Row> rows{{"settings that differ"}};
  rows[0].insert(rows[0].end(), known.names.begin(), known.names.end());
  for (const auto& [key, values] : differences(known.settings)) {
    rows.push_back({key});
    for (const std::string& value : values)
      rows.back().push_back(value.empty() ? kNone : cut(value));
  }
  return rows.size() == 1 ? "no setting differs\n" : aligned(rows);
}

std::string json_of(const Runs& runs, const std::string& out) {
  Json object{{"runs", Json::array()}, {"settings_that_differ", Json::object()}, {"out", nullptr}};
  for (const ComparedRun& run : runs) object["runs"].push_back(run_json(run));
  const Known known = known_of(runs);
  for (const auto& [key, values] : differences(known.settings))
    for (size_t i = 0; i < values.size(); ++i)
      if (!values[i].empty())
        object["settings_that_differ"][key][known.names[i]] = Json::parse(values[i]);
  if (!out.empty()) object["out"] = out;
  return object.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace diptych::cli
