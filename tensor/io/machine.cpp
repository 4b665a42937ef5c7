// tensor/io/machine.cpp — /proc/meminfo and control groups of Linux.
#include "tensor/io/machine.h"

#include <algorithm>
#include <charconv>

#include "tensor/io/file.h"
#include "tensor/types.h"

namespace diptych {
namespace {

constexpr int64_t kUnknown = INT64_MAX;

// A small file of the system; empty if it is not there.
std::string text_of(const std::string& path) {
  try {
    return is_file(path) ? read_file(path, 1 << 16) : "";
  } catch (const Error&) {
    return "";
  }
}

// The number behind the first `key` of a text, in blanks; "max" and nothing are no number.
int64_t number_behind(const std::string& text, const std::string& key) {
  const size_t at = text.find(key);
  if (at == text.npos) return kUnknown;
  const size_t digit = text.find_first_not_of(' ', at + key.size());
  int64_t value = kUnknown;
  if (digit != text.npos) std::from_chars(text.data() + digit, text.data() + text.size(), value);
  return value;
}

// Groups stand one inside the other, and the limit of each holds: from the process's own, which
// /proc/self/cgroup names behind `key`, up to the root of the `mount`.
int64_t group_limit(const std::string& root, const std::string& key, const std::string& mount,
                    const std::string& file) {
  const std::string groups = text_of(root + "/proc/self/cgroup");
  const size_t at = groups.find(key);
  if (at == groups.npos) return kUnknown;
  const size_t begin = at + key.size();
  std::string group = groups.substr(begin, groups.find('\n', begin) - begin);
  int64_t limit = kUnknown;
  for (size_t end = group.size(); end != group.npos; end = group.rfind('/')) {
    group.resize(end);
    limit = std::min(limit, number_behind(text_of(root + mount + group + file), ""));
  }
  return limit;
}

}  // namespace

int64_t usable_memory(const std::string& root) {
  const int64_t kib = number_behind(text_of(root + "/proc/meminfo"), "MemAvailable:");
  return std::min(
      {kib > kUnknown / 1024 ? kUnknown : 1024 * kib,
       group_limit(root, "0::", "/sys/fs/cgroup", "/memory.max"),
       group_limit(root, ":memory:", "/sys/fs/cgroup/memory", "/memory.limit_in_bytes")});
}

}  // namespace diptych
