// tests/openings.h — how often a file is opened, as the kernel tells.
#pragma once

#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>

#include "tests/files.h"

namespace diptych::test {

/// How often `path` is opened while f runs. Equal events that follow each other are told as one,
/// so closing is counted as well, and reads keep one from the next.
template <class F>
int count_openings(const std::string& path, const F& f) {
  const int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  check(watch >= 0 && inotify_add_watch(watch, path.c_str(), IN_OPEN | IN_ACCESS | IN_CLOSE) >= 0,
        "test: cannot watch ", path);
  f();
  int openings = 0, closings = 0;
  alignas(inotify_event) std::array<char, 1 << 16> buffer{};
  for (ssize_t bytes; (bytes = ::read(watch, buffer.data(), buffer.size())) > 0;) {
    for (ssize_t at = 0; at < bytes;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
      openings += (event->mask & IN_OPEN) != 0;
      closings += (event->mask & IN_CLOSE) != 0;
      at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
    }
  }
  ::close(watch);
  return std::max(openings, closings);
}

}  // namespace diptych::test
