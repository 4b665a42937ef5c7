// tests/test_file.cpp — a save that fails or dies at any system call.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "tensor/io/file.h"
#include "tests/files.h"

using namespace diptych;
using namespace diptych::test;

// System calls of this binary pass through here, so that a test can make the k-th one fail.
namespace {

enum class Fault { none, fail_no_space, fail_io, interrupt, short_write, die };

thread_local Fault armed = Fault::none;
thread_local int calls_left = 0;
thread_local std::string* trace = nullptr;

/// The fault to commit now: each call counts down, and the last one is hit.
Fault next_fault(const char* call) {
  if (trace != nullptr) *trace += call;
  if (armed == Fault::none || --calls_left > 0) return Fault::none;
  return std::exchange(armed, Fault::none);
}

/// True if the call shall not happen, with errno set.
bool refused(Fault fault) {
  if (fault == Fault::none || fault == Fault::short_write) return false;
  if (fault == Fault::die) raise(SIGKILL);
  errno = fault == Fault::fail_no_space ? ENOSPC : fault == Fault::fail_io ? EIO : EINTR;
  return true;
}

}  // namespace

extern "C" ssize_t write(int fd, const void* data, size_t bytes) {
  const Fault fault = next_fault("write ");
  if (refused(fault)) return -1;
  if (fault == Fault::short_write) bytes = (bytes + 1) / 2;
  return syscall(SYS_write, fd, data, bytes);
}

extern "C" int fsync(int fd) {
  if (refused(next_fault("fsync "))) return -1;
  return static_cast<int>(syscall(SYS_fsync, fd));
}

extern "C" int close(int fd) {
  const Fault fault = next_fault("close ");
  const int result = static_cast<int>(syscall(SYS_close, fd));  // a failed close has closed
  return refused(fault) ? -1 : result;
}

extern "C" int rename(const char* from, const char* to) noexcept {
  if (refused(next_fault("rename "))) return -1;
  return static_cast<int>(syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
}

namespace {

const std::string kOld = "the file of before";
const std::string kNew(300'000, 'n');

/// In several pieces, small and large, so that there are several writes to fail.
void save_in_pieces(const std::string& path) {
  write_file_atomically(path, [](FileWriter& out) {
    out.write(std::string_view(kNew).substr(0, 10));
    out.write(std::string_view(kNew).substr(10, 100'000));
    out.write(std::string_view(kNew).substr(100'010));
  });
}

struct Scenario {
  int calls = 0;
  int failures = 0;
};

/// Commits the fault at the first, second, … call until a save gets through without meeting it.
Scenario fail_each_call(Fault fault) {
  Scenario seen;
  for (bool met = true; met; seen.calls += met) {
    const TempDir dir;
    const std::string path = dir / "file";
    put_file(path, kOld);
    armed = fault;
    calls_left = seen.calls + 1;
    const std::string error = error_of([&] { save_in_pieces(path); });
    met = std::exchange(armed, Fault::none) == Fault::none;
    seen.failures += !error.empty();
    const bool replaced = error.empty() || contains(error, "is written, but its directory");
    CHECK(get_file(path) == (replaced ? kNew : kOld));
    CHECK((replaced || contains(error, "; the previous file is unchanged")));
    CHECK(dir.file_count() == 1);
  }
  return seen;
}

}  // namespace

TEST_CASE("file: a save writes, flushes and closes before it renames, then flushes the directory") {
  const TempDir dir;
  std::string calls;
  trace = &calls;
  save_in_pieces(dir / "file");
  trace = nullptr;
  CHECK(calls == "write write write fsync close rename fsync close ");
}

TEST_CASE("file: a save survives a full disk at any of its system calls") {
  const Scenario seen = fail_each_call(Fault::fail_no_space);
  CHECK(seen.calls == 8);
  CHECK(seen.failures == 7);  // closing the directory is the only step that may fail unnoticed
}

TEST_CASE("file: a save survives an I/O error at any of its system calls") {
  const Scenario seen = fail_each_call(Fault::fail_io);
  CHECK(seen.calls == 8);
  CHECK(seen.failures == 7);
}

TEST_CASE("file: short writes are completed") {
  CHECK(fail_each_call(Fault::short_write).failures == 0);
}

TEST_CASE("file: an interrupted write is repeated") {
  const TempDir dir;
  for (int call = 1; call <= 3; ++call) {
    armed = Fault::interrupt;
    calls_left = call;
    save_in_pieces(dir / "file");
    CHECK(get_file(dir / "file") == kNew);
  }
}

TEST_CASE("file: killed at any system call, a save leaves the old file or the new one") {
  const TempDir dir;
  const std::string path = dir / "file";
  int old_files = 0, new_files = 0;
  for (int call = 1;; ++call) {
    put_file(path, kOld);
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      armed = Fault::die;
      calls_left = call;
      save_in_pieces(path);
      _exit(0);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    const std::string found = get_file(path);
    CHECK((found == kOld || found == kNew));
    if (WIFEXITED(status)) break;
    ++(found == kOld ? old_files : new_files);
  }
  CHECK(old_files >= 5);
  CHECK(new_files >= 1);
}

TEST_CASE("file: a left-over temporary file is no obstacle and is not touched") {
  const TempDir dir;
  const std::string path = dir / "file", left_over = path + ".tmp-" + std::to_string(getpid());
  put_file(left_over + "-0", "somebody else's");
  write_file_atomically(path, "new");
  CHECK(get_file(path) == "new");
  CHECK(get_file(left_over + "-0") == "somebody else's");
}

TEST_CASE("file: an exception of the callback passes through and leaves the old file") {
  const TempDir dir;
  const std::string path = dir / "file";
  put_file(path, kOld);
  const auto save = [&] {
    write_file_atomically(path, [](FileWriter& out) {
      out.write("half");
      CHECK(out.position() == 4);
      fail("the callback gave up");
    });
  };
  CHECK(error_of(save) == "the callback gave up");
  CHECK(get_file(path) == kOld);
  CHECK(dir.file_count() == 1);
}

TEST_CASE("file: a limit on the file size is an error, not a signal") {
  const TempDir dir;
  const std::string path = dir / "file";
  put_file(path, kOld);
  rlimit limit{};
  getrlimit(RLIMIT_FSIZE, &limit);
  const rlimit small{1000, limit.rlim_max};
  const auto handler = signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &small);
  const std::string error = error_of([&] { save_in_pieces(path); });
  setrlimit(RLIMIT_FSIZE, &limit);
  signal(SIGXFSZ, handler);
  CHECK(error == "save: '" + path + "': File too large; the previous file is unchanged");
  CHECK(get_file(path) == kOld);
  CHECK(dir.file_count() == 1);
}

TEST_CASE("file: a device is written in place, and its errors are reported") {
  if (!std::filesystem::exists("/dev/full")) return;
  CHECK(error_of([] { write_file_atomically("/dev/full", "x"); }) ==
        "save: '/dev/full': No space left on device");
  CHECK(std::filesystem::is_character_file("/dev/full"));
  write_file_atomically("/dev/null", "x");
}

TEST_CASE("file: impossible targets are named") {
  const TempDir dir;
  std::filesystem::create_directory(dir / "folder");
  put_file(dir / "file", "x");
  const auto error = [&](const std::string& name) {
    return error_of([&] { write_file_atomically(dir / name, "new"); });
  };
  CHECK(contains(error("missing/file"), "missing/file': No such file or directory"));
  CHECK(contains(error("file/file"), "file/file': Not a directory"));
  CHECK(contains(error("folder"), "folder': Is a directory"));
  CHECK(contains(error(std::string("a\0b", 3)), "contains a NUL"));
  CHECK(dir.file_count() == 2);

  std::filesystem::permissions(dir / "folder", std::filesystem::perms::owner_read);
  if (geteuid() == 0) {
    MESSAGE("skipped: root may write to a read-only directory");
  } else {
    CHECK(contains(error("folder/file"), "Permission denied"));
  }
}

TEST_CASE("file: a name without a directory is saved in the working directory") {
  const TempDir dir;
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(dir.path());
  write_file_atomically("plain", "x");
  std::filesystem::current_path(before);
  CHECK(get_file(dir / "plain") == "x");
}
