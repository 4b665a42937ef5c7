// clip/weights/model_folder.cpp — the layouts of open_clip, of Hugging Face, and of our runs.
#include "clip/weights/model_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <vector>

#include "clip/weights/quoted_list.h"
#include "clip/weights/run_folder.h"
#include "clip/weights/shards.h"
#include "tensor/io/file.h"
#include "tensor/types.h"

namespace diptych {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;

constexpr const char* kKnown[] = {
    "open_clip_model.safetensors", "model.safetensors", "model.safetensors.index.json",
    "open_clip_pytorch_model.bin", "pytorch_model.bin", "pytorch_model.bin.index.json"};
constexpr const char* kBesideModels[] = {"optimizer", "scheduler", "rng_state",    "training_args",
                                         "training",  "scaler",    "random_states"};

Names names_in(const std::string& folder) {
  std::error_code none;
  Names names;
  for (const auto& entry : fs::directory_iterator(folder, none))
    names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

std::string listed(const Names& names) { return quoted_list(names, 8); }

std::string beside(const std::string& taken, Names others) {
  std::erase(others, taken);
  return others.empty() ? ""
                        : fmt::format("weights: from {}, not from {}\n", taken, listed(others));
}

FolderModel known_name(const std::string& folder) {
  Names there;
  for (const char* name : kKnown)
    if (is_there(fs::path(folder) / name)) there.emplace_back(name);
  if (there.empty()) return {};
  return {fs::path(folder) / there[0], beside(there[0], there)};
}

/// Of a checkpoint of a run that keeps an average.
FolderModel our_average(const std::string& folder) {
  const std::string average = folder + '/' + kEmaFile;
  if (!is_there(average) || !is_there(folder + '/' + kTrainingFile)) return {};
  return {average, std::string("the average of the parameters, which validation looked at; ") +
                       kModelFile + " beside it has the last ones\n"};
}

FolderModel our_run(const std::string& folder) {
  verify_if_checkpoint(folder);  // of which the model is missing
  const std::string checkpoint = newest_checkpoint(folder);
  if (checkpoint.empty()) return {};
  const FolderModel average = our_average(checkpoint);
  return average.path.empty() ? FolderModel{checkpoint + '/' + kModelFile, ""} : average;
}

/// N of epoch_N.pt; nothing of epoch_latest.pt.
std::optional<int64_t> epoch_of(const std::string& name) {
  constexpr std::string_view kStart = "epoch_", kEnd = ".pt";
  if (!name.starts_with(kStart) || !name.ends_with(kEnd)) return std::nullopt;
  const char *begin = name.data() + kStart.size(), *end = name.data() + name.size() - kEnd.size();
  int64_t epoch = -1;
  const auto [stop, error] = std::from_chars(begin, end, epoch);
  if (error != std::errc() || stop != end || epoch < 0) return std::nullopt;
  return epoch;
}

FolderModel newest_epoch(const std::string& folder) {
  constexpr const char* kLatest = "epoch_latest.pt";
  Names found;
  for (const std::string& name : names_in(folder))
    if (epoch_of(name) || name == kLatest) found.push_back(name);
  if (found.empty()) return {};
  std::sort(found.begin(), found.end(), [](const std::string& a, const std::string& b) {
    return epoch_of(a).value_or(-1) > epoch_of(b).value_or(-1);
  });
  return {fs::path(folder) / found[0], beside(found[0], found)};
}

FolderModel open_clip_training(const std::string& folder) {
  const FolderModel here = newest_epoch(folder);
  return here.path.empty() ? newest_epoch(folder + "/checkpoints") : here;
}

/// models--owner--name/snapshots/<revision>, of which refs/main names the newest.
FolderModel hub_cache(const std::string& folder) {
  const fs::path snapshots = fs::path(folder) / "snapshots", main = fs::path(folder) / "refs/main";
  const Names there = names_in(snapshots);
  if (there.empty()) return {};
  std::string revision = there[0];
  if (is_file(main))
    revision = read_file(main, 256);
  else
    check(there.size() == 1, "model: '", folder, "' holds several snapshots, ", listed(there),
          ", and no refs/main that names one; name the folder of one of them");
  check(std::find(there.begin(), there.end(), revision) != there.end(), "model: '", main.string(),
        "' names the snapshot ", in_quotes(revision), "; there stand ", listed(there));
  return find_model_in(snapshots / revision);
}

bool could_be_weights(const std::string& name) {
  const std::string extension = fs::path(name).extension();
  const bool ends_so = extension == ".safetensors" || extension == ".bin" || extension == ".pt" ||
                       extension == ".pth" || is_shard_index(name);
  return ends_so && !is_one_shard(name) && !name.starts_with('.') &&
         std::none_of(std::begin(kBesideModels), std::end(kBesideModels),
                      [&](const char* start) { return name.starts_with(start); });
}

FolderModel only_file(const std::string& folder) {
  Names found;
  if (!checkpoints(folder).empty()) return {};  // of a run, all of them damaged
  for (const std::string& name : names_in(folder))
    if (could_be_weights(name)) found.push_back(name);
  if (found.empty()) return {};
  check(found.size() == 1, "model: '", folder, "' holds several files of weights, ", listed(found),
        "; name one of them");
  return {fs::path(folder) / found[0], ""};
}

}  // namespace

FolderModel find_model_in(const std::string& folder) {
  for (const auto layout :
       {our_average, known_name, our_run, open_clip_training, hub_cache, only_file})
    if (FolderModel found = layout(folder); !found.path.empty()) return found;
  const Names there = names_in(folder);
  fail("model: '", folder, "' holds no model: no ", fmt::format("{}", fmt::join(kKnown, ", ")),
       ", no other file of weights, no intact checkpoint of a run such as logs/demo, no epoch_N.pt "
       "of open_clip's training; there ",
       there.empty() ? "is nothing in it"
                     : (there.size() == 1 ? "stands " : "stand ") + listed(there));
}

}  // namespace diptych
