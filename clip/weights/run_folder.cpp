// clip/weights/run_folder.cpp — manifests, and the newest checkpoint that verifies.
#include "clip/weights/run_folder.h"

#include <fmt/core.h>
#include <zlib.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "tensor/io/file.h"

namespace diptych {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kFiles[] = {kModelFile, kTrainingFile};

uint32_t crc32_of(const std::string& path, int64_t size) {
  const InputFile file("checkpoint", path);
  std::string block(size_t{1} << 20, '\0');
  uLong crc = 0;
  for (int64_t at = 0; at < size; at += static_cast<int64_t>(block.size())) {
    const int64_t n = std::min<int64_t>(size - at, static_cast<int64_t>(block.size()));
    file.read_at(at, block.data(), n);
    crc = crc32(crc, reinterpret_cast<const Bytef*>(block.data()), static_cast<uInt>(n));
  }
  return static_cast<uint32_t>(crc);
}

Json describe(const fs::path& file) {
  const auto size = static_cast<int64_t>(fs::file_size(file));
  return {{"size", size}, {"crc32", crc32_of(file, size)}};
}

bool intact(const fs::path& folder) {
  try {
    const Json manifest = Json::parse(read_file(folder / "manifest.json"));
    for (const char* name : kFiles) {
      if (manifest.at(name) != describe(folder / name)) return false;
    }
    return true;
  } catch (const std::exception&) {  // a missing or unreadable part is damage like any other
    return false;
  }
}

}  // namespace

std::vector<std::string> checkpoints(const std::string& run) {
  std::vector<std::string> found;
  const fs::path folder = fs::path(run) / "checkpoints";
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(folder, none)) {
    const std::string name = entry.path().filename();
    if (name.starts_with("step_") && name.find('.') == std::string::npos)
      found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

void write_manifest(const std::string& checkpoint) {
  const fs::path folder = checkpoint;
  Json manifest;
  for (const char* name : kFiles) manifest[name] = describe(folder / name);
  write_file_atomically(folder / "manifest.json", manifest.dump(2));
}

std::string newest_checkpoint(const std::string& run) {
  const std::vector<std::string> all = checkpoints(run);
  for (auto it = all.rbegin(); it != all.rend(); ++it) {
    if (intact(*it)) return *it;
    fmt::print(stderr, "checkpoint: '{}' is incomplete or damaged; trying the one before\n", *it);
  }
  return {};
}

}  // namespace diptych
