// tests/test_torture.cpp — a run that is killed, or whose disk fails, at any point comes to the end
// it would have come to. `make torture` tries every point, `make test` some.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <set>

#include "tensor/philox.h"
#include "tests/torture.h"

using namespace diptych;
using namespace diptych::test;

#define REQUIRE_TRACING()                                       \
  REQUIRE_BINARY();                                             \
  if (!can_trace()) {                                           \
    MESSAGE("skipped: this machine cannot trace system calls"); \
    return;                                                     \
  }

namespace {

namespace fs = std::filesystem;

// A fate for the k-th of the calls that `counts`, from the first in the run's folder on.
template <class Counts>
auto at_call(const Ordeal& run, size_t k, Fate fate, const Counts& counts) {
  return [&run, k, fate, counts, begun = false, seen = size_t{0}](const SystemCall& call) mutable {
    begun = begun || run.is_ours(call);
    return begun && counts(call) && seen++ == k ? fate : Fate{};
  };
}

const auto kEvery = [](const SystemCall&) { return true; };

std::string describe(const SystemCall& call, const Ordeal& run, size_t k) {
  const bool ours = run.is_ours(call);
  return "call " + std::to_string(k) + ", " + call.name + ' ' +
         (ours ? call.path.substr(run.folder().size()) : call.path);
}

pid_t start(const std::vector<std::string>& command) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  std::vector<char*> words;
  for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  const int null = ::open("/dev/null", O_RDWR);
  for (const int fd : {0, 1, 2}) ::dup2(null, fd);
  ::execvp(words[0], words.data());
  ::_exit(127);
}

// Lets the run go for so long; true if it was killed, false if it had ended.
bool kill_after(const Ordeal& run, bool resume, double seconds) {
  const pid_t child = start(run.command(resume));
  const auto nanoseconds = static_cast<long>(seconds * 1e9);
  const timespec span{nanoseconds / 1000000000, nanoseconds % 1000000000};
  ::nanosleep(&span, nullptr);
  ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status);
}

// A kind of failure, and how often it is tried.
struct Failure {
  const char* call;
  Fate fate;
  size_t every;  // n-th call of that kind
  bool may_be_seen() const { return fate.kind == Fate::fail && fate.number != EINTR; }
};

constexpr Fate failing(int number) { return {Fate::fail, number}; }

constexpr Failure kFailures[] = {
    {"write", failing(ENOSPC), 1},  {"write", failing(EIO), 3},     {"write", failing(EDQUOT), 5},
    {"write", failing(EFBIG), 9},   {"write", failing(EINTR), 7},   {"write", {Fate::halve}, 3},
    {"fsync", failing(EIO), 1},     {"fsync", failing(ENOSPC), 1},  {"rename", failing(EIO), 1},
    {"rename", failing(ENOSPC), 1}, {"close", failing(EIO), 1},     {"close", failing(ENOSPC), 1},
    {"openat", failing(ENOSPC), 1}, {"openat", failing(EACCES), 1}, {"openat", failing(EMFILE), 1},
    {"mkdir", failing(ENOSPC), 1},  {"mkdir", failing(EACCES), 1},  {"pread64", failing(EIO), 1},
    {"pread64", {Fate::halve}, 1},  {"stat", failing(EIO), 1}};

// Of what deletes and moves old checkpoints.
constexpr Failure kRotationFailures[] = {
    {"unlinkat", failing(EIO), 1}, {"unlinkat", failing(EACCES), 1},
    {"unlink", failing(EIO), 1},   {"rmdir", failing(EIO), 1},
    {"rename", failing(EIO), 1},   {"rename", failing(ENOSPC), 1}};

// The step of the checkpoint a call is about; 0 if it is about none.
int64_t step_of(const SystemCall& call) {
  const size_t at = call.path.find("/step_");
  return at == call.path.npos ? 0 : std::stoll(call.path.substr(at + 6));
}

// What is wrong with how a run ended that met one failure, of which `call` is the place.
std::string judge(const Ordeal& run, const TracedEnd& end, const SystemCall& call,
                  bool may_be_seen) {
  if (const std::string found = run.damage(); !found.empty()) return found;
  if (end.exit_code != 0 && end.exit_code != 1)
    return "ended with " + std::to_string(end.exit_code) + ": " + end.err;
  if (end.exit_code == 1 && !may_be_seen) return "a harmless failure ended it: " + end.err;
  const auto steps = run.visible();
  const std::set<int64_t> there(steps.begin(), steps.end());
  const bool last = there.contains(run.steps());
  if (end.exit_code == 0) {
    if (!last) return "exit 0 without the last checkpoint";
    if (const std::string fault = run.log_fault(); !fault.empty()) return "exit 0, but " + fault;
  } else if (end.err.find("diptych: ") == end.err.npos && end.err.find("lost: ") == end.err.npos) {
    return "exit 1 without a reason: " + end.err;
  }
  for (int64_t step = 2; step <= run.steps(); step += 2) {
    const bool named = contains(end.err, "step " + std::to_string(step) + " of '");
    if (run.keeps_one() && step != run.steps()) continue;
    const bool due = end.exit_code == 0 ? !named : step < step_of(call);
    if (due && !there.contains(step))
      return "step " + std::to_string(step) + " is not there: " + end.err;
  }
  return "";
}

void fail_each(const Ordeal& run, const std::vector<SystemCall>& calls, const Failure& failure) {
  Row row(std::string(failure.call) + ": " +
          (failure.fate.kind == Fate::halve ? "half of it" : std::strerror(failure.fate.number)));
  const auto counts = [&](const SystemCall& call) {
    return call.name == failure.call && run.is_ours(call);
  };
  std::vector<SystemCall> points;
  std::copy_if(calls.begin(), calls.end(), std::back_inserter(points), counts);
  const Selection selection(points.size() / failure.every, 1);
  for (size_t i = 0; i * failure.every < points.size(); ++i) {
    if (!selection.takes(i)) continue;
    const size_t k = i * failure.every;
    const TracedEnd end = run.traced(at_call(run, k, failure.fate, counts));
    const std::string fault = judge(run, end, points[k], failure.may_be_seen());
    const bool complete =  // but for a line of a log
        !run.visible().empty() && run.visible().back() == run.steps();
    const bool again = fault.empty() && end.exit_code != 0 && !complete;
    row.add(describe(points[k], run, k) + ": " + std::strerror(failure.fate.number),
            again ? run.finish() : Verdict{fault});
  }
}

}  // namespace

TEST_CASE("torture: killed at any system call, a run starts again or goes on to the same bits") {
  REQUIRE_TRACING();
  const Ordeal run(2);
  const auto calls = run.calls();
  CHECK(calls.size() > 200);
  const Selection selection(calls.size(), 12);
  Row row("killed at every system call");
  for (size_t k = 0; k < calls.size(); ++k) {
    if (!selection.takes(k)) continue;
    const TracedEnd end = run.traced(at_call(run, k, {Fate::kill}, kEvery));
    Verdict verdict = run.finish();
    if (verdict.fault.empty() && end.exit_code != 137) verdict.fault = "was not killed";
    row.add(describe(calls[k], run, k), verdict);
  }
}

TEST_CASE("torture: killed at any system call while it goes on from a checkpoint and deletes one") {
  REQUIRE_TRACING();
  const Ordeal run(3, "--keep 1");
  run.traced([&](const SystemCall& call) {  // up to the second checkpoint
    return step_of(call) == 6 ? Fate{Fate::kill} : Fate{};
  });
  const TempDir kept;
  fs::copy(run.folder(), kept / "run", fs::copy_options::recursive);
  const auto put_back = [&] {
    run.clear();
    fs::copy(kept / "run", run.folder(), fs::copy_options::recursive);
  };
  std::vector<SystemCall> calls;
  put_back();
  trace(run.command(true), [&](const SystemCall& call) {
    if (!calls.empty() || run.is_ours(call)) calls.push_back(call);
    return Fate{};
  });
  const Selection selection(calls.size(), 8);
  Row row("… of a resumed run that keeps one checkpoint");
  for (size_t k = 0; k < calls.size(); ++k) {
    if (!selection.takes(k)) continue;
    put_back();
    trace(run.command(true), at_call(run, k, {Fate::kill}, kEvery));
    row.add(describe(calls[k], run, k), run.finish());
  }
}

TEST_CASE("torture: killed at random moments, several times over") {
  REQUIRE_BINARY();
  const Ordeal run(6);
  PhiloxStream random(1, 2);
  Row row("killed at random moments");
  for (int64_t kills = Selection::moments(6); kills > 0;) {
    run.clear();
    int64_t of_this_run = 0;
    // Slower machines need more time to come anywhere: it grows from kill to kill.
    for (double most = 0.1; kills > 0 && of_this_run < 4; most *= 1.5) {
      if (!kill_after(run, !run.visible().empty(), most * random.uniform())) break;
      ++of_this_run;
      --kills;
      row.add("a kill", {run.damage()});
    }
    row.add("the end", run.finish());
  }
}

TEST_CASE(
    "torture: any failure of the disk leaves the checkpoints of before and the right exit code") {
  REQUIRE_TRACING();
  const Ordeal run(2);
  const auto calls = run.calls();
  for (const Failure& failure : kFailures) fail_each(run, calls, failure);
}

TEST_CASE("torture: checkpoints that cannot be deleted or moved end nothing, and none is lost") {
  REQUIRE_TRACING();
  const Ordeal run(3, "--keep 1");
  const auto calls = run.calls();
  CHECK(std::any_of(calls.begin(), calls.end(), [](const SystemCall& call) {
    return call.name == "unlinkat" || call.name == "unlink";
  }));
  for (const Failure& failure : kRotationFailures) fail_each(run, calls, failure);
}

TEST_CASE("torture: a damaged newest checkpoint is passed over for the one before") {
  REQUIRE_BINARY();
  const Ordeal run(2);
  const std::string newest = run.folder() + "/checkpoints/step_00000004/";
  std::map<std::string, std::string> whole;
  for (const char* name : {"model.safetensors", "training.safetensors", "manifest.json"})
    whole[name] = get_file(newest + name);
  const Selection selection(60, 6);
  Row row("damaged newest checkpoint");
  for (size_t i = 0; i < 60; ++i) {
    if (!selection.takes(i)) continue;
    const auto it = std::next(whole.begin(), static_cast<std::ptrdiff_t>(i % 3));
    std::string bytes = it->second;
    const size_t at = bytes.size() * (i / 3) / 20;
    i % 2 == 0 ? bytes.resize(at) : static_cast<void>(bytes[at] ^= 1);
    put_file(newest + it->first, bytes);
    const Outcome r = shell_run(run.shell_line(true));
    Verdict verdict{"", Verdict::resumed};
    if (r.exit_code != 0 || !contains(r.err, "at step 2"))
      verdict.fault = "not resumed from step 2: " + r.err;
    else if (!run.same_bits(4))
      verdict.fault = "ends with other bits";
    row.add(it->first + (i % 2 ? ", a byte changed" : ", cut") + " at " + std::to_string(at),
            verdict);
    for (const auto& [name, content] : whole) put_file(newest + name, content);
  }
}

TEST_CASE("torture: data that changed since the run began is refused by name") {
  REQUIRE_TRACING();
  const Ordeal run(2);
  run.traced([&](const SystemCall& call) {  // killed with one of two checkpoints
    return step_of(call) == 4 ? Fate{Fate::kill} : Fate{};
  });
  const std::string table = run.folder() + "/../t.tsv", before = get_file(table);
  const auto replaced = [&](const std::string& old, const std::string& now) {
    std::string text = before;
    return text.replace(text.find(old), old.size(), now);
  };
  const std::string row = "p7.png\ta thing 7\n";
  const struct {
    const char* what;
    std::string table, flags, named;
  } changes[] = {{"a caption", replaced("a thing 3", "a thang 3"), "", "caption"},
                 {"a picture", replaced("p3.png", "p2.png"), "", "picture"},
                 {"two rows swapped", replaced("thing 3\np4", "thing 3\np5"), "", "picture"},
                 {"a row less", replaced(row, ""), "", "pairs"},
                 {"a row more", before + row, "", "pairs"},
                 {"columns", replaced("title", "text"), "--csv-caption-key text", "caption"},
                 {"seed", before, "--seed 1", "seed"},
                 {"batch", before, "--batch-size 2", "batch_size"},
                 {"epochs", before, "--epochs 3", "epochs"},
                 {"rate", before, "--lr 1e-3", "lr"}};
  Row rows("changed data and flags");
  for (const auto& change : changes) {
    put_file(table, change.table);
    const Outcome r = shell_run(run.shell_line(true) + change.flags);
    const bool told = contains(r.err, change.named);
    rows.add(change.what,
             {r.exit_code == 1 && told ? run.damage()
                                       : "exit " + std::to_string(r.exit_code) + ": " + r.err});
  }
  put_file(table, before);
  rows.add("the data of before", run.finish());
}
