// tests/hostile.h — tables of files made to break a reader, each with its verdict.
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/files.h"

namespace diptych::test {

inline constexpr const char* kAccepted = nullptr;

struct HostileFile {
  std::string what;
  std::string bytes;
  const char* message;  // part of the Error, or kAccepted
};

/// Loads each file by `load(path)`. Errors must start with the file, contain the message and stay
/// short, whatever the file holds.
template <class Load>
void judge(const std::vector<HostileFile>& files, const Load& load) {
  const TempDir dir;
  const std::string path = dir / "hostile";
  for (const HostileFile& file : files) {
    CAPTURE(file.what);
    put_file(path, file.bytes);
    const std::string error = error_of([&] { load(path); });
    if (file.message == kAccepted) {
      CHECK(error == "");
    } else {
      CHECK(contains(error, "load: '" + path + "'"));
      CHECK_MESSAGE(contains(error, file.message), error);
      CHECK(error.size() < path.size() + 300);
    }
  }
}

}  // namespace diptych::test
