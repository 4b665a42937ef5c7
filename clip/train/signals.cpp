// clip/train/signals.cpp — handlers that note what was asked for.
#include "clip/train/signals.h"

#include <signal.h>

#include <atomic>
#include <iterator>

namespace diptych {
namespace {

enum class Request { stop, save };

struct Handled {
  int signal;
  const char* name;
  Request request;
};

constexpr Handled kHandled[] = {
    {SIGHUP, "SIGHUP", Request::stop},   {SIGINT, "SIGINT", Request::stop},
    {SIGTERM, "SIGTERM", Request::stop}, {SIGXCPU, "SIGXCPU", Request::stop},
    {SIGXFSZ, "SIGXFSZ", Request::stop}, {SIGUSR1, "SIGUSR1", Request::save},
    {SIGUSR2, "SIGUSR2", Request::save}};
constexpr int kPatience = 3;  // the SIGINT that waits for no save

// Any thread may be the one that is interrupted.
static_assert(std::atomic<int>::is_always_lock_free);
std::atomic<int> stop_signal, save_requests, interrupts;
struct sigaction before[std::size(kHandled)];

void end_at_once(int signal) {
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  ::sigaction(signal, &action, nullptr);
  ::raise(signal);  // arrives when the handler returns
}

void note_stop(int signal) {
  int none = 0;
  stop_signal.compare_exchange_strong(none, signal);
  if (signal == SIGINT && ++interrupts == kPatience) end_at_once(signal);
}

void note_save(int) { save_requests = 1; }

void handle(const Handled& row, struct sigaction& old) {
  ::sigaction(row.signal, nullptr, &old);
  if (old.sa_handler == SIG_IGN && row.signal == SIGHUP) return;  // nohup
  struct sigaction action {};
  action.sa_handler = row.request == Request::stop ? note_stop : note_save;
  action.sa_flags = SA_RESTART;
  ::sigaction(row.signal, &action, nullptr);
}

}  // namespace

Signals::Signals() {
  stop_signal = save_requests = interrupts = 0;
  for (size_t i = 0; i < std::size(kHandled); ++i) handle(kHandled[i], before[i]);
}

Signals::~Signals() {
  for (size_t i = 0; i < std::size(kHandled); ++i)
    ::sigaction(kHandled[i].signal, &before[i], nullptr);
}

void Signals::ignore_save_requests() {
  for (const Handled& row : kHandled) {
    if (row.request == Request::save) ::signal(row.signal, SIG_IGN);
  }
}

int Signals::stop() const { return stop_signal; }

bool Signals::take_save_request() { return save_requests.exchange(0) != 0; }

const char* signal_name(int signal) {
  for (const Handled& row : kHandled) {
    if (row.signal == signal) return row.name;
  }
  return "a signal";
}

}  // namespace diptych
