// tests/test_ends.cpp — how a run ends and what it leaves behind, for every signal and every full
// disk: the table of clip/README.md.
#include <cerrno>
#include <csignal>

#include "tests/torture.h"

using namespace diptych;
using namespace diptych::test;

namespace {

using Decide = std::function<Fate(const SystemCall&)>;

bool writes(const SystemCall& call, const std::string& part) {
  return call.name == "write" && contains(call.path, part);
}

// Signals that come one after the other: while the pictures of step 3 are read, and while step 3 is
// saved.
Decide signals(int number, int times = 1) {
  return [=, saved = false, sent = 0](const SystemCall& call) mutable {
    saved = saved || (call.name == "rename" && call.path.ends_with("/step_00000002"));
    const bool begins = saved && sent == 0 && call.path.ends_with(".png");
    const bool saves = sent > 0 && sent < times && writes(call, "/step_00000003.tmp");
    if (!begins && !saves) return Fate{};
    ++sent;
    return Fate{Fate::signal, number};
  };
}

// A disk that has no room for files whose path contains `part`, between two saves or for good.
Decide full(const std::string& part, int first_step = 0, int last_step = 99) {
  return [=, step = 0](const SystemCall& call) mutable {
    if (contains(call.path, "/step_"))
      step = std::stoi(call.path.substr(call.path.find("/step_") + 6));
    const bool no_room = writes(call, part) && step >= first_step && step <= last_step;
    return no_room ? Fate{Fate::fail, ENOSPC} : Fate{};
  };
}

struct Event {
  std::string what;
  Decide decide;
  std::string shell = "";  // instead: redirections, or what comes before the program
};

std::string steps_there(const Ordeal& run) {
  std::string text;
  for (const int64_t step : run.visible())
    text += (text.empty() ? "" : ", ") + std::to_string(step);
  return text.empty() ? "none" : text;
}

// One row, of what was seen; afterwards the run is brought to its end.
std::string row_of(const Ordeal& run, const Event& event) {
  CAPTURE(event.what);
  run.clear();
  const size_t at = event.shell.find("RUN");
  TracedEnd end;
  if (at == event.shell.npos) {
    end = run.traced(event.decide);
  } else {
    const Outcome r =
        shell_run(event.shell.substr(0, at) + run.shell_line() + event.shell.substr(at + 3));
    end = {r.exit_code, 0, r.err};
  }
  CHECK(run.damage() == "");
  const int64_t logged = run.logged();
  const bool complete = end.exit_code == 0 || run.visible() == std::vector<int64_t>{2, 4, 6};
  const std::string row = "| " + event.what + " | " + std::to_string(end.exit_code) + " | " +
                          steps_there(run) + " | " +
                          (logged == 0 ? "none" : "1 to " + std::to_string(logged)) + " |\n";
  if (!complete) CHECK(run.finish().fault == "");
  return row;
}

std::vector<Event> signal_events() {
  std::vector<Event> events{{"nothing", [](const SystemCall&) { return Fate{}; }}};
  const std::pair<int, const char*> stopping[] = {{SIGINT, "SIGINT (Ctrl-C)"},
                                                  {SIGTERM, "SIGTERM"},
                                                  {SIGHUP, "SIGHUP, unless it was ignored (nohup)"},
                                                  {SIGXCPU, "SIGXCPU"},
                                                  {SIGXFSZ, "SIGXFSZ"}};
  for (const auto& [number, what] : stopping) events.push_back({what, signals(number)});
  events.push_back({"SIGINT, and again while it saves", signals(SIGINT, 2)});
  events.push_back({"SIGINT three times", signals(SIGINT, 3)});
  events.push_back({"SIGUSR1", signals(SIGUSR1)});
  events.push_back({"SIGUSR2", signals(SIGUSR2)});
  events.push_back({"SIGPIPE", signals(SIGPIPE)});
  events.push_back({"SIGALRM, and all others", signals(SIGALRM)});
  events.push_back({"SIGKILL, or the machine fails", signals(SIGKILL)});
  return events;
}

std::vector<Event> disk_events() {
  return {{"no room for checkpoints", full("/checkpoints/")},
          {"… while step 4 is saved", full("/checkpoints/", 4, 4)},
          {"… while step 6, the last, is saved", full("/checkpoints/", 6)},
          {"no room for `metrics.jsonl`", full("/metrics.jsonl")},
          {"no room for `out.log`", full("/out.log")},
          {"no room in the folder of the run", full("/run/")},
          {"files limited to less than a checkpoint (`ulimit -f`)", {}, "ulimit -f 200; RUN"},
          {"stdout full", {}, "RUN >/dev/full"},
          {"stdout closed", {}, "RUN >&-"},
          {"stderr full", {}, "RUN 2>/dev/full"},
          {"stderr closed", {}, "RUN 2>&-"},
          {"all three streams closed", {}, "RUN <&- >&- 2>&-"}};
}

std::string table() {
  const Ordeal run(3);
  std::string text =
      "| what happens | exit code | checkpoints of steps | steps in `metrics.jsonl` |\n"
      "|---|---|---|---|\n";
  for (const auto& events : {signal_events(), disk_events()}) {
    for (const Event& event : events) text += row_of(run, event);
  }
  return text;
}

}  // namespace

TEST_CASE("ends: every signal and every full disk, as the table of clip/README.md has it") {
  REQUIRE_BINARY();
  if (!can_trace()) {
    MESSAGE("skipped: this machine cannot trace system calls");
    return;
  }
  const std::string seen = table();
  const bool told = contains(get_file("clip/README.md"), seen);
  if (!told) MESSAGE("what was seen:\n", seen);
  CHECK(told);
}

TEST_CASE("ends: one line on stderr says why, and how to go on") {
  REQUIRE_BINARY();
  if (!can_trace()) return;
  const Ordeal run(3);
  TracedEnd end = run.traced(signals(SIGTERM));
  CHECK(contains(end.err, "stopped by SIGTERM after 3 steps"));
  CHECK(contains(end.err, "continue with the same flags and --resume latest"));
  CHECK(end.died_of == 0);
  CHECK(run.traced(signals(SIGINT)).died_of == SIGINT);  // else a shell goes on with its loop
  end = run.traced(signals(SIGUSR1));
  CHECK(contains(end.err, "step 3 saved, as a signal asked"));
  end = run.traced(full("/checkpoints/", 4, 4));
  CHECK(contains(end.err, "step 4 of '" + run.folder() + "' was not saved"));
  end = run.traced(full("/metrics.jsonl"));
  CHECK(contains(end.err, "the log is not; lost: 6 lines of '"));
}

TEST_CASE("ends: what was ignored around the tests is not ignored in the runs that they trace") {
  REQUIRE_BINARY();
  if (!can_trace()) return;
  const Ordeal run(3);
  const auto before = std::signal(SIGHUP, SIG_IGN);
  CHECK(run.traced(signals(SIGHUP)).exit_code == 129);
  std::signal(SIGHUP, before);
}

TEST_CASE("ends: a limit on the size of files leaves the checkpoints of before") {
  REQUIRE_BINARY();
  if (!can_trace()) return;
  const Ordeal run(3);
  run.traced(signals(SIGTERM));
  const Outcome limited = shell_run("ulimit -f 200; " + run.shell_line(true));
  CHECK(limited.exit_code == 1);
  CHECK(contains(limited.err, "was not saved, earlier checkpoints are unchanged"));
  CHECK(contains(limited.err, "File too large"));
  CHECK(steps_there(run) == "2, 3");
  CHECK(run.finish().fault == "");
  const TempDir other;
  const Outcome command = shell_run("ulimit -f 1; $DIPTYCH convert " + saved_model(other) + ' ' +
                                    (other / "c.safetensors"));
  CHECK(command.exit_code == 1);
  CHECK(contains(command.err, "File too large"));
  CHECK(other.file_count() == 1);
}
