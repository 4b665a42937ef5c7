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

std::string counted(int64_t count, const char* one, const char* many) {
  return fmt::format("{} {}", count, count == 1 ? one : many);
}

// Everything in the file of a run that is not in its curves.
std::vector<std::string> notes_on(const History& run) {
  std::vector<std::string> notes;
  if (run.records == 0) notes.push_back("nothing told yet: no record in metrics.jsonl");
  if (run.damaged > 0)
    notes.push_back(
        counted(run.damaged, "line is no record: ", "lines are no records, the first: ") +
        run.first_damaged);
  if (run.unfinished) notes.push_back("the last line is half, and not read");
  if (run.taken_again > 0)
    notes.push_back(counted(run.taken_again, "record is", "records are") +
                    " of steps that were taken again, and not drawn");
  for (const auto& [name, unused] : run.series)
    if (const int64_t count = run.not_finite(name); count > 0)
      notes.push_back(counted(count, "value of ", "values of ") + name +
                      (count == 1 ? " is" : " are") + " NaN or infinite");
  return notes;
}

std::vector<ComparedRun> compared(const std::vector<History>& histories) {
  std::vector<ComparedRun> runs;
  for (const History& history : histories) {
    ComparedRun run{history, summary_of(history), {}, notes_on(history)};
    run.settings = settings_of(history.folder, run.notes);
    runs.push_back(std::move(run));
  }
  return runs;
}

void tell_all(const std::vector<ComparedRun>& runs, const std::string& picture) {
  for (const ComparedRun& run : runs)
    for (const std::string& note : run.notes) tell(fmt::format("{}: {}\n", run.history.name, note));
  print(figures_table(runs) + '\n' + settings_table(runs));
  if (!picture.empty()) tell(fmt::format("curves in {}\n", picture));
}

int run(const Flags& flags) {
  check_usage(flags.out.empty() || flags.out.ends_with(".svg"), "curves: --out '", flags.out,
              "' must end with .svg, the kind of picture that is written");
  const std::vector<History> histories = read_histories(flags.runs);
  const std::vector<ComparedRun> runs = compared(histories);
  if (!flags.out.empty()) write_file_atomically(flags.out, picture_of(histories));
  if (flags.json)
    print_json(nlohmann::ordered_json::parse(json_of(runs, flags.out)));
  else
    tell_all(runs, flags.out);
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
