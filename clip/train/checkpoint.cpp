// clip/train/checkpoint.cpp — temporary folder, manifest, rename; newest intact one wins.
#include "clip/train/checkpoint.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "clip/weights/model_file.h"
#include "clip/weights/run_folder.h"
#include "tensor/io/file.h"
#include "tensor/io/safetensors.h"

namespace diptych {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// A rename is on disk once its folder is.
void sync_folder(const fs::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
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
    save_model(building / kModelFile, model, &tokenizer);
    save_training(building / kTrainingFile, optimizer, state);
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
  const std::vector<std::string> all = checkpoints(run);
  for (size_t i = 0; i + static_cast<size_t>(std::max(keep, 1)) < all.size(); ++i)
    fs::remove_all(all[i]);
}

TrainingState load_checkpoint(const std::string& checkpoint, Clip& model, nn::AdamW& optimizer) {
  const std::string path = checkpoint + '/' + kTrainingFile;
  const SafeTensors training = load_safetensors(path);
  const Json position = Json::parse(metadata_value(training, "position", path), nullptr, false);
  check(position.is_object(), "resume: '", path, "' has a damaged position");
  model.load_state(load_safetensors(checkpoint + '/' + kModelFile).tensors);
  optimizer.load_state(training.tensors, std::stoll(metadata_value(training, "adamw_steps", path)));
  return {position.value("step", int64_t{0}), position.value("epoch", int64_t{0}),
          position.value("batch", int64_t{0}), position.value("samples", int64_t{0})};
}

}  // namespace diptych
