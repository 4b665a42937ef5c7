// clip/checkpoint.cpp — temporary folder, manifest, rename; newest intact one wins.
#include "clip/checkpoint.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>
#include <zlib.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "clip/model_file.h"
#include "tensor/file.h"
#include "tensor/safetensors.h"

namespace diptych {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kFiles[] = {"model.safetensors", "training.safetensors"};

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

void write_manifest(const fs::path& folder) {
  Json manifest;
  for (const char* name : kFiles) manifest[name] = describe(folder / name);
  write_file_atomically(folder / "manifest.json", manifest.dump(2));
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

// A rename is on disk once its folder is.
void sync_folder(const fs::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

// Checkpoints by name, which is by step; the newest last.
std::vector<fs::path> checkpoints(const std::string& run) {
  std::vector<fs::path> found;
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

void save_training(const std::string& path, const nn::AdamW& optimizer,
                   const TrainingState& state) {
  const Json position{{"step", state.step},
                      {"epoch", state.epoch},
                      {"batch", state.batch},
                      {"samples", state.samples}};
  save_safetensors(
      path, optimizer.state(),
      {{"position", position.dump()}, {"adamw_steps", std::to_string(optimizer.steps())}});
}

const std::string& metadata_value(const SafeTensors& file, const std::string& key,
                                  const std::string& path) {
  const auto it = file.metadata.find(key);
  check(it != file.metadata.end(), "resume: '", path, "' has no ", key);
  return it->second;
}

}  // namespace

void save_checkpoint(const std::string& run, const Clip& model, const Tokenizer& tokenizer,
                     const nn::AdamW& optimizer, const TrainingState& state, int keep) {
  const fs::path parent = fs::path(run) / "checkpoints";
  const fs::path target = parent / fmt::format("step_{:08}", state.step);
  const fs::path building = target.string() + ".tmp";
  try {
    fs::remove_all(building);
    fs::create_directories(building);
    save_model(building / kFiles[0], model, &tokenizer);
    save_training(building / kFiles[1], optimizer, state);
    write_manifest(building);
    fs::remove_all(target);  // a resumed run writes the same step again
    fs::rename(building, target);
    sync_folder(parent);
  } catch (const std::exception& error) {
    std::error_code ignored;
    fs::remove_all(building, ignored);
    fail("checkpoint: step ", state.step, " of '", run,
         "' was not saved, earlier checkpoints are unchanged: ", error.what());
  }
  const std::vector<fs::path> all = checkpoints(run);
  for (size_t i = 0; i + static_cast<size_t>(std::max(keep, 1)) < all.size(); ++i)
    fs::remove_all(all[i]);
}

std::string newest_checkpoint(const std::string& run) {
  const std::vector<fs::path> all = checkpoints(run);
  for (auto it = all.rbegin(); it != all.rend(); ++it) {
    if (intact(*it)) return *it;
    fmt::print(stderr, "checkpoint: '{}' is incomplete or damaged; trying the one before\n",
               it->string());
  }
  return {};
}

TrainingState load_checkpoint(const std::string& checkpoint, Clip& model, nn::AdamW& optimizer) {
  const std::string path = checkpoint + '/' + kFiles[1];
  const SafeTensors training = load_safetensors(path);
  const Json position = Json::parse(metadata_value(training, "position", path), nullptr, false);
  check(position.is_object(), "resume: '", path, "' has a damaged position");
  model.load_state(load_safetensors(checkpoint + '/' + kFiles[0]).tensors);
  optimizer.load_state(training.tensors, std::stoll(metadata_value(training, "adamw_steps", path)));
  return {position.value("step", int64_t{0}), position.value("epoch", int64_t{0}),
          position.value("batch", int64_t{0}), position.value("samples", int64_t{0})};
}

}  // namespace diptych
