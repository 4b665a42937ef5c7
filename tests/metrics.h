// tests/metrics.h — folders of runs with metrics.jsonl and params.json, as `diptych train` writes
// them.
#pragma once

#include <filesystem>
#include <string>

#include "tests/files.h"

namespace diptych::test {

inline std::string step_line(int step, const std::string& loss, const std::string& more = "") {
  return "{\"step\":" + std::to_string(step) +
         ",\"epoch\":1,\"samples\":" + std::to_string(8 * step) + ",\"loss\":" + loss + more +
         "}\n";
}

inline std::string val_line(int step, const std::string& inner) {
  return "{\"step\":" + std::to_string(step) + ",\"samples\":" + std::to_string(8 * step) +
         ",\"val\":{" + inner + "}}\n";
}

/// A folder of a run with these lines and settings.
inline std::string run_in(const TempDir& dir, const std::string& name, const std::string& metrics,
                          const std::string& params = "") {
  std::filesystem::create_directories(dir / name);
  put_file(dir / (name + "/metrics.jsonl"), metrics);
  if (!params.empty()) put_file(dir / (name + "/params.json"), params);
  return dir / name;
}

}  // namespace diptych::test
