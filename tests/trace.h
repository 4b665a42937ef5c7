// tests/trace.h — a program run under ptrace: each of its system calls can be failed, cut short,
// or be the last.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace diptych::test {

/// A system call about to be made. `name` is empty for those no test cares about.
struct SystemCall {
  std::string name;      ///< "write", "fsync", "rename", …
  std::string path;      ///< the file it is about, of two the second; empty if none
  uint64_t bytes = 0;    ///< of write and pread64
  bool creates = false;  ///< openat with O_CREAT
};

/// What becomes of it.
struct Fate {
  enum Kind { pass, kill, fail, halve, signal } kind = pass;
  int number = 0;  ///< the errno of fail, the signal of signal, which comes before the call
};

struct TracedEnd {
  int exit_code = 0;  ///< as a shell sees it
  int died_of = 0;    ///< the signal, if it was one
  std::string err;    ///< what went to stderr
};

/// Whether this machine can: x86-64 Linux that allows ptrace.
bool can_trace();

/// Runs a program to its end, with signals as a terminal leaves them, and asks `decide` before each
/// system call of each of its threads.
TracedEnd trace(const std::vector<std::string>& command,
                const std::function<Fate(const SystemCall&)>& decide);

}  // namespace diptych::test
