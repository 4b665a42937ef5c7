// tests/test_signals.cpp — a run that is asked to stop saves first; one that is asked to save goes
// on.
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "clip/train/signals.h"
#include "tests/program.h"

using namespace diptych;
using namespace diptych::test;

namespace {

const std::string kOneSave = "--save-frequency 60 ";
constexpr int kStop[] = {SIGHUP, SIGINT, SIGTERM, SIGXCPU, SIGXFSZ};

std::string newest(const TempDir& dir) { return newest_checkpoint(dir / "run"); }

// A line of shell that starts the run of `flags`, sends it `signals` once it has taken a step, and
// ends as it ends.
std::string signalled(const TempDir& dir, const std::string& flags, const std::string& signals) {
  return "$DIPTYCH " + flags + "& run=$!; until [ -s " + (dir / "run/metrics.jsonl") +
         " ]; do sleep 0.01; done; for s in " + signals +
         "; do kill -$s $run; done; wait $run; exit $?";
}

// The exit status of a child that does `work`.
int status_of(const std::function<void()>& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    work();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

}  // namespace

TEST_CASE("signals: the first that asks to stop is kept, a save is asked for once") {
  Signals signals;
  CHECK(signals.stop() == 0);
  CHECK(!signals.take_save_request());
  std::raise(SIGUSR1);
  std::raise(SIGUSR2);
  CHECK(signals.stop() == 0);
  CHECK(signals.take_save_request());
  CHECK(!signals.take_save_request());
  for (const int n : {SIGTERM, SIGHUP, SIGXCPU, SIGXFSZ, SIGINT}) std::raise(n);
  CHECK(signals.stop() == SIGTERM);
  CHECK(std::string(signal_name(SIGTERM)) == "SIGTERM");
}

TEST_CASE("signals: handlers last as long as the object, and nohup is respected") {
  for (const int n : kStop) {
    CAPTURE(n);
    struct sigaction before {
    }, after{};
    ::sigaction(n, nullptr, &before);
    { const Signals signals; }
    ::sigaction(n, nullptr, &after);
    CHECK((after.sa_handler == before.sa_handler));
  }
  std::signal(SIGHUP, SIG_IGN);
  {
    const Signals signals;
    std::raise(SIGHUP);
    CHECK(signals.stop() == 0);
  }
  std::signal(SIGHUP, SIG_DFL);
}

TEST_CASE("signals: two SIGINT wait for the save, a third does not") {
  const auto raised = [](int times) {
    return status_of([times] {
      const Signals signals;
      for (int i = 0; i < times; ++i) std::raise(SIGINT);
    });
  };
  CHECK(WIFEXITED(raised(2)));
  CHECK(WTERMSIG(raised(3)) == SIGINT);
}

TEST_CASE(
    "cli: stopped by any signal, a run saves, ends with 128 + n, and goes on to the same bits") {
  REQUIRE_BINARY();
  const TempDir whole;
  REQUIRE(shell_run("$DIPTYCH " + small_run(whole, 60) + kOneSave).exit_code == 0);
  const std::string bytes = get_file(newest(whole) + "/model.safetensors");
  for (const int n : kStop) {
    CAPTURE(n);
    const TempDir dir;
    const std::string run = small_run(dir, 60) + kOneSave;
    const Outcome stopped = shell_run(signalled(dir, run, std::to_string(n)));
    CAPTURE(stopped.err);
    CHECK(stopped.exit_code == 128 + n);
    CHECK(contains(stopped.err, std::string("stopped by ") + signal_name(n)));
    CHECK(contains(stopped.err, "--resume latest"));
    REQUIRE(!newest(dir).empty());
    CHECK(!contains(newest(dir), "step_00000120"));
    CHECK(shell_run("$DIPTYCH " + run + "--resume latest").exit_code == 0);
    CHECK(get_file(newest(dir) + "/model.safetensors") == bytes);
  }
}

TEST_CASE("cli: SIGUSR1, SIGUSR2 save and go on, SIGPIPE and a second SIGINT change nothing") {
  REQUIRE_BINARY();
  const TempDir dir;
  const Outcome saved =
      shell_run(signalled(dir, small_run(dir, 60) + kOneSave + "--keep 9 ", "USR1 PIPE USR2"));
  CAPTURE(saved.err);
  CHECK(saved.exit_code == 0);
  CHECK(contains(saved.err, "saved, as a signal asked"));
  CHECK(contains(newest(dir), "step_00000120"));
  CHECK(checkpoints(dir / "run").size() >= 2);
  const TempDir again;
  CHECK(shell_run(signalled(again, small_run(again, 60) + kOneSave, "INT INT")).exit_code == 130);
  CHECK(!newest(again).empty());
}

TEST_CASE("cli: a run that SIGINT ended died of it, so that a shell stops its loop") {
  REQUIRE_BINARY();
  const TempDir dir;
  const std::string run = "$DIPTYCH " + small_run(dir, 60) + kOneSave;
  const int status = status_of([&] {
    const pid_t child = ::fork();
    if (child == 0) {
      std::freopen("/dev/null", "w", stderr);
      ::execl("/bin/sh", "sh", "-c", ("exec " + run).c_str(), nullptr);
    }
    while (std::filesystem::exists(dir / "run/metrics.jsonl") == false)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    ::kill(child, SIGINT);
    int ended = 0;
    ::waitpid(child, &ended, 0);
    ::_exit(WIFSIGNALED(ended) && WTERMSIG(ended) == SIGINT ? 0 : 1);
  });
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("cli: a limit on the size of files fails the save and leaves the checkpoints of before") {
  REQUIRE_BINARY();
  const TempDir dir;
  REQUIRE(shell_run(signalled(dir, small_run(dir, 60) + kOneSave, "TERM")).exit_code == 143);
  const std::string before = newest(dir), bytes = get_file(before + "/model.safetensors");
  const Outcome limited =
      shell_run("ulimit -f 200; $DIPTYCH " + small_run(dir, 60) + kOneSave + "--resume latest");
  CHECK(limited.exit_code == 1);
  CHECK(contains(limited.err, "was not saved, earlier checkpoints are unchanged"));
  CHECK(contains(limited.err, "File too large"));
  CHECK(newest(dir) == before);
  CHECK(get_file(before + "/model.safetensors") == bytes);
  const TempDir other;
  const Outcome command = shell_run("ulimit -f 1; $DIPTYCH convert " + saved_model(other) + ' ' +
                                    (other / "c.safetensors"));
  CHECK(command.exit_code == 1);
  CHECK(contains(command.err, "File too large"));
  CHECK(other.file_count() == 1);
}
