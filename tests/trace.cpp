// tests/trace.cpp — following a program from system call to system call.
#include "tests/trace.h"

#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <map>

#include "tests/files.h"

namespace diptych::test {

#if defined(__x86_64__)
namespace {

// Which argument says what a call is about.
struct Known {
  const char* name;
  int descriptor, path;  // numbers of arguments, -1: none
};

const std::map<uint64_t, Known> kKnown = {{SYS_write, {"write", 0, -1}},
                                          {SYS_pread64, {"pread64", 0, -1}},
                                          {SYS_read, {"read", 0, -1}},
                                          {SYS_fsync, {"fsync", 0, -1}},
                                          {SYS_close, {"close", 0, -1}},
                                          {SYS_ftruncate, {"ftruncate", 0, -1}},
                                          {SYS_flock, {"flock", 0, -1}},
                                          {SYS_openat, {"openat", -1, 1}},
                                          {SYS_open, {"openat", -1, 0}},
                                          {SYS_rename, {"rename", -1, 1}},
                                          {SYS_renameat, {"rename", -1, 3}},
                                          {SYS_mkdir, {"mkdir", -1, 0}},
                                          {SYS_unlink, {"unlink", -1, 0}},
                                          {SYS_rmdir, {"rmdir", -1, 0}},
                                          {SYS_unlinkat, {"unlinkat", -1, 1}},
                                          {SYS_newfstatat, {"stat", -1, 1}},
                                          {SYS_getdents64, {"getdents64", 0, -1}}};

std::string text_at(pid_t process, uint64_t address) {
  constexpr uint64_t kPage = 4096;
  std::string text;
  while (text.size() < kPage && text.find('\0') == std::string::npos) {
    char piece[kPage];
    const uint64_t from = address + text.size(), bytes = kPage - from % kPage;
    iovec here{piece, bytes}, there{reinterpret_cast<void*>(from), bytes};
    const ssize_t n = ::process_vm_readv(process, &here, 1, &there, 1, 0);
    if (n <= 0) break;
    text.append(piece, static_cast<size_t>(n));
  }
  return text.substr(0, text.find('\0'));
}

std::string path_of(pid_t process, uint64_t descriptor) {
  std::error_code none;
  const std::string link =
      "/proc/" + std::to_string(process) + "/fd/" + std::to_string(static_cast<int>(descriptor));
  return std::filesystem::read_symlink(link, none).string();
}

// The path of an argument; one that is not absolute may begin in an open folder, which is then the
// argument before.
std::string path_argument(pid_t thread, const __ptrace_syscall_info& info, int number) {
  const std::string path = text_at(thread, info.entry.args[number]);
  if (number == 0 || info.entry.nr == SYS_rename || path.starts_with("/")) return path;
  return path_of(thread, info.entry.args[number - 1]) + '/' + path;
}

SystemCall describe(pid_t thread, const __ptrace_syscall_info& info) {
  const auto it = kKnown.find(info.entry.nr);
  if (it == kKnown.end()) return {};
  const Known& known = it->second;
  SystemCall call{known.name, "", info.entry.args[2], false};
  call.path = known.path >= 0 ? path_argument(thread, info, known.path)
                              : path_of(thread, info.entry.args[known.descriptor]);
  if (info.entry.nr == SYS_openat) call.creates = (info.entry.args[2] & O_CREAT) != 0;
  return call;
}

void set_register(pid_t thread, size_t offset, uint64_t value) {
  ::ptrace(PTRACE_POKEUSER, thread, offset, value);
}

// As a shell at a terminal leaves them: nohup, or a shell in the background, has some ignored.
void reset_signals() {
  for (int n = 1; n < NSIG; ++n) std::signal(n, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

[[noreturn]] void become(const std::vector<std::string>& command, const std::string& err) {
  std::vector<char*> words;
  for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  ::setenv("ASAN_OPTIONS", "detect_leaks=0", 0);  // it needs ptrace for itself
  const int null = ::open("/dev/null", O_RDWR);
  ::dup2(null, STDIN_FILENO);
  ::dup2(null, STDOUT_FILENO);
  ::dup2(::open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDERR_FILENO);
  reset_signals();
  ::ptrace(PTRACE_TRACEME, 0, 0, 0);
  ::execvp(words[0], words.data());
  ::_exit(127);
}

/// One program and its threads.
class Tracer {
 public:
  Tracer(pid_t process, const std::function<Fate(const SystemCall&)>& decide)
      : process_(process), decide_(decide) {}

  int run() {
    int status = 0;
    ::waitpid(process_, &status, 0);
    ::ptrace(PTRACE_SETOPTIONS, process_, 0,
             PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC);
    go_on(process_, 0);
    for (pid_t thread; (thread = ::waitpid(-1, &status, __WALL)) > 0;) {
      if (!WIFSTOPPED(status)) {
        if (thread == process_) return status;
        continue;
      }
      go_on(thread, stopped(thread, status));
    }
    return -1;
  }

 private:
  static void go_on(pid_t thread, int signal) { ::ptrace(PTRACE_SYSCALL, thread, 0, signal); }

  // The signal to hand on.
  int stopped(pid_t thread, int status) {
    const int signal = WSTOPSIG(status);
    if (signal == (SIGTRAP | 0x80)) return at_call(thread);
    const bool new_thread = signal == SIGSTOP && thread != process_;
    return status >> 16 != 0 || new_thread || signal == SIGTRAP ? 0 : signal;
  }

  int at_call(pid_t thread) {
    __ptrace_syscall_info info{};
    ::ptrace(static_cast<__ptrace_request>(PTRACE_GET_SYSCALL_INFO), thread, sizeof info, &info);
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY) return before(thread, info);
    const auto it = failing_.find(thread);
    if (it == failing_.end()) return 0;
    set_register(thread, offsetof(user, regs.rax), static_cast<uint64_t>(-int64_t{it->second}));
    failing_.erase(it);
    return 0;
  }

  int before(pid_t thread, const __ptrace_syscall_info& info) {
    const Fate fate = decide_(describe(thread, info));
    switch (fate.kind) {
      case Fate::pass:
        break;
      case Fate::kill:
        ::kill(process_, SIGKILL);
        break;
      case Fate::signal:
        ::kill(process_, fate.number);
        break;
      case Fate::halve:
        set_register(thread, offsetof(user, regs.rdx), (info.entry.args[2] + 1) / 2);
        break;
      case Fate::fail:  // a call of no number does nothing
        set_register(thread, offsetof(user, regs.orig_rax), ~uint64_t{0});
        failing_[thread] = fate.number;
    }
    return 0;
  }

  pid_t process_;
  const std::function<Fate(const SystemCall&)>& decide_;
  std::map<pid_t, int> failing_;
};

}  // namespace

TracedEnd trace(const std::vector<std::string>& command,
                const std::function<Fate(const SystemCall&)>& decide) {
  const TempDir dir;
  const pid_t process = ::fork();
  if (process == 0) become(command, dir / "err");
  const int status = Tracer(process, decide).run();
  const int died_of = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  return {died_of ? 128 + died_of : WEXITSTATUS(status), died_of, get_file(dir / "err")};
}

bool can_trace() {
  bool seen = false;
  const TracedEnd end = trace({"true"}, [&](const SystemCall& call) {
    seen = seen || call.name == "close";
    return Fate{};
  });
  return end.exit_code == 0 && seen;
}

#else

TracedEnd trace(const std::vector<std::string>&, const std::function<Fate(const SystemCall&)>&) {
  return {};
}
bool can_trace() { return false; }

#endif

}  // namespace diptych::test
