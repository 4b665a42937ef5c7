// clip/cli/curves.cpp — `diptych curves`: runs side by side, as a picture and as tables.
#include <fmt/core.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "clip/cli/command.h"
#include "clip/cli/curves_tables.h"
#include "clip/console.h"
#include "clip/curves/picture.h"
#include "tensor/io/file.h"

namespace diptych::cli {
namespace {

using namespace curves;

struct Flags {
  std::vector<std::string> runs;
  std::string out;
  bool json = false;
};

// A run whose settings are unknown is compared in its curves alone.
std::optional<Settings> settings_of(const std::string& folder, std::vector<std::string>& notes) {
  try {
    return read_settings(folder);
  } catch (const Error& error) {
    notes.push_back(error.what());
    return std::nullopt;
  }
}

std::string and_why(const History& run) {
  return fmt::format("{} of its lines {} left out: {}", run.damaged,
                     run.damaged == 1 ? "is" : "are", run.first_damaged);
}

// Everything in the file of a run that is not in its curves.
std::vector<std::string> notes_on(const History& run) {
  std::vector<std::string> notes;
  if (run.records == 0) notes.push_back("nothing told yet: no record in metrics.jsonl");
  if (run.damaged > 0)
    notes.push_back(and_why(run) + (run.damaged > 1 ? " (the first of them)" : ""));
  if (run.unfinished) notes.push_back("the last line is half, and not read");
  if (run.taken_again > 0)
    notes.push_back(fmt::format("{} records are of steps that were taken again, and not drawn",
                                run.taken_again));
  for (const auto& [name, unused] : run.series)
    if (const int64_t count = run.not_finite(name); count > 0)
      notes.push_back(fmt::format("{} values of {} are NaN or infinite", count, name));
  return notes;
}

std::vector<ComparedRun> read_runs(const std::vector<std::string>& folders) {
  std::vector<ComparedRun> runs;
  for (History& history : read_histories(folders)) {
    ComparedRun run{std::move(history), {}, {}, {}};
    run.summary = summary_of(run.history);
    run.notes = notes_on(run.history);
    run.settings = settings_of(run.history.folder, run.notes);
    runs.push_back(std::move(run));
  }
  return runs;
}

void write_picture(const std::string& path, const std::vector<ComparedRun>& runs) {
  std::vector<History> histories;
  for (const ComparedRun& run : runs) histories.push_back(run.history);
  write_file_atomically(path, picture_of(histories));
}

int run(const Flags& flags) {
  check_usage(flags.out.empty() || flags.out.ends_with(".svg"), "curves: --out '", flags.out,
              "' must end with .svg, the kind of picture that is written");
  const std::vector<ComparedRun> runs = read_runs(flags.runs);
  if (!flags.out.empty()) write_picture(flags.out, runs);
  if (flags.json) {
    print_json(nlohmann::ordered_json::parse(json_of(runs, flags.out)));
    return 0;
  }
  for (const ComparedRun& compared : runs)
    for (const std::string& note : compared.notes)
      tell(fmt::format("{}: {}\n", compared.history.name, note));
  print(figures_table(runs) + '\n' + settings_table(runs));
  if (!flags.out.empty()) tell(fmt::format("curves in {}\n", flags.out));
  return 0;
}

void declare(Command command, Flags& flags) {
  command.required("runs", flags.runs, "folders of runs, logs/<name>, finished or not")
      .option("--out", flags.out, "draw loss, validation, rate, scale and norm into this .svg")
      .json(flags.json);
}

}  // namespace

void add_curves(Commands& commands) {
  commands.add("curves", "compare runs: their curves, final figures and settings", declare, run);
}

}  // namespace diptych::cli
