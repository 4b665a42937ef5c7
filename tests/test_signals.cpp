// tests/test_signals.cpp — what a run is asked to do from outside; what comes of it is in
// test_ends.cpp.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <functional>
#include <string>

#include "clip/train/signals.h"

using namespace diptych;

namespace {

constexpr int kStop[] = {SIGHUP, SIGINT, SIGTERM, SIGXCPU, SIGXFSZ};

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
  const auto before = std::signal(SIGHUP, SIG_IGN);
  {
    const Signals signals;
    std::raise(SIGHUP);
    CHECK(signals.stop() == 0);
  }
  std::signal(SIGHUP, before);
}

TEST_CASE("signals: SIGINT as often as the environment says" * doctest::skip()) {
  const Signals signals;
  for (int i = std::atoi(std::getenv("DIPTYCH_SIGINTS")); i > 0; --i) std::raise(SIGINT);
}

TEST_CASE("signals: two SIGINT wait for the save, a third does not") {
  // In a program of its own: in the child of many threads ThreadSanitizer delivers no signals.
  const auto raised = [](const char* times) {
    return status_of([times] {
      ::setenv("DIPTYCH_SIGINTS", times, 1);
      ::execl("/proc/self/exe", "run_tests", "-tc=signals: SIGINT as often*", "--no-skip",
              "--out=/dev/null", nullptr);
      ::_exit(1);
    });
  };
  const int two = raised("2"), three = raised("3");
  CHECK((WIFEXITED(two) && WEXITSTATUS(two) == 0));
  CHECK((WIFSIGNALED(three) && WTERMSIG(three) == SIGINT));
}

TEST_CASE("signals: before a run can be saved, a request to save it does not end it") {
  const int status = status_of([] {
    Signals::ignore_save_requests();
    std::raise(SIGUSR1);
    std::raise(SIGUSR2);
    Signals signals;
    std::raise(SIGUSR2);
    ::_exit(signals.take_save_request() ? 7 : 1);
  });
  CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 7));
}
