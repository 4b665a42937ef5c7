// clip/weights/run_folder.cpp — manifests, and the newest checkpoint that verifies.
#include "clip/weights/run_folder.h"

#include <fmt/core.h>
#include <zlib.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "clip/console.h"
#include "tensor/io/file.h"
#include "tensor/types.h"

namespace diptych {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kFiles[] = {kModelFile, kTrainingFile};
constexpr const char* kManifest = "manifest.json";
constexpr const char* kStep = "step_";
const std::set<std::string> kRecords = {"params.json", "metrics.jsonl", "bad_samples.tsv"};
// Ends of names: not yet or no longer a checkpoint; one that another is about to replace.
constexpr const char *kUnfinished = ".tmp", *kReplaced = ".replaced", *kRemoved = "removed.tmp";

fs::path folder_of(const std::string& run) { return fs::path(run) / "checkpoints"; }

std::string name_of_step(int64_t step) { return fmt::format("{}{:08}", kStep, step); }

/// The step of a name that name_of_step made.
std::optional<int64_t> step_of(const std::string& name) {
  if (!name.starts_with(kStep)) return std::nullopt;
  int64_t step = -1;
  std::from_chars(name.data() + std::string_view(kStep).size(), name.data() + name.size(), step);
  if (step < 0 || name_of_step(step) != name) return std::nullopt;
  return step;
}

uint32_t crc32_of(const InputFile& file) {
  std::string block(size_t{1} << 20, '\0');
  uLong crc = 0;
  for (int64_t at = 0; at < file.size(); at += static_cast<int64_t>(block.size())) {
    const int64_t n = std::min<int64_t>(file.size() - at, static_cast<int64_t>(block.size()));
    file.read_at(at, block.data(), n);
    crc = crc32(crc, reinterpret_cast<const Bytef*>(block.data()), static_cast<uInt>(n));
  }
  return static_cast<uint32_t>(crc);
}

Json describe(const InputFile& file) { return {{"size", file.size()}, {"crc32", crc32_of(file)}}; }

Json read_manifest(const fs::path& folder) {
  constexpr int64_t kMaxBytes = 1 << 16;
  const std::string path = folder / kManifest;
  check(fs::exists(fs::symlink_status(path)), "checkpoint: '", folder.string(), "' has no ",
        kManifest, ", so nothing tells whether it is complete");
  const InputFile file("checkpoint", path);
  check(file.size() <= kMaxBytes, "checkpoint: '", path, "' is larger than a manifest");
  std::string text(static_cast<size_t>(file.size()), '\0');
  file.read_at(0, text.data(), file.size());
  const Json manifest = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  check(manifest.is_object(), "checkpoint: '", path, "' is damaged");
  return manifest;
}

void verify_file(const InputFile& file, const char* name, const Json& manifest) {
  check(manifest.contains(name), "checkpoint: ", kManifest, " beside '", file.path(),
        "' does not name it");
  const Json& wanted = manifest.at(name);
  check(wanted == describe(file), "checkpoint: '", file.path(),
        "' is damaged: it has not the size and CRC-32 that ", kManifest, " tells");
}

std::string real_name(const InputFile& file) {
  std::error_code none;
  return fs::canonical(file.path(), none).filename();
}

/// `open`: one of its files, if it is open already.
void verify(const fs::path& folder, const InputFile* open = nullptr) {
  check(fs::is_directory(folder), "checkpoint: '", folder.string(), "' is no folder");
  const Json manifest = read_manifest(folder);
  std::vector<const char*> names(std::begin(kFiles), std::end(kFiles));
  if (manifest.contains(kEmaFile)) names.push_back(kEmaFile);
  for (const char* name : names) {
    const bool is_open = open != nullptr && real_name(*open) == name;
    is_open ? verify_file(*open, name, manifest)
            : verify_file({"checkpoint", folder / name}, name, manifest);
  }
}

bool is_model_name(const fs::path& name) { return name == kModelFile || name == kEmaFile; }

bool has_our_manifest(const fs::path& folder) {
  try {
    return read_manifest(folder).contains(kModelFile);
  } catch (const Error&) {
    return false;
  }
}

/// Whether a folder of any name, a copy or a half-written one, is meant to be a checkpoint.
bool looks_like_checkpoint(const fs::path& folder) {
  std::error_code none;
  return step_of(folder.filename()) || step_of(folder.stem()) ||
         fs::exists(folder / kTrainingFile, none) || has_our_manifest(folder);
}

void remove_quietly(const fs::path& path) {
  std::error_code failed;
  fs::remove_all(path, failed);
}

/// Where a checkpoint waits to be deleted: a full disk has no room for a folder, but for a name.
fs::path out_of_sight(const fs::path& checkpoint) {
  const fs::path removed = checkpoint.parent_path() / kRemoved;
  std::error_code full;
  fs::create_directory(removed, full);
  return full ? fs::path(checkpoint.string() + kUnfinished) : removed / checkpoint.filename();
}

/// Out of sight in one step, then away: who dies meanwhile leaves no half checkpoint behind.
void remove_checkpoint(const fs::path& checkpoint) {
  const fs::path there = out_of_sight(checkpoint);
  fs::remove_all(there);
  fs::rename(checkpoint, there);
  fs::remove_all(there);
  remove_quietly(checkpoint.parent_path() / kRemoved);
}

/// What went wrong, if something did.
std::string try_to_remove(const fs::path& checkpoint) {
  try {
    remove_checkpoint(checkpoint);
    return {};
  } catch (const std::exception& error) {
    return fmt::format("; old checkpoint not deleted: {}", error.what());
  }
}

std::vector<fs::path> entries_of(const fs::path& folder) {
  std::error_code none;
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(folder, none)) paths.push_back(entry.path());
  return paths;
}

/// Of a replacement that came to no end the older one is still whole.
void bring_back(const fs::path& replaced) {
  const fs::path target = replaced.parent_path() / replaced.stem();
  std::error_code failed;
  if (!fs::exists(target, failed)) fs::rename(replaced, target, failed);
  if (fs::exists(target, failed)) fs::remove_all(replaced, failed);
}

}  // namespace

std::optional<int64_t> step_of_checkpoint(const std::string& checkpoint) {
  return step_of(fs::path(checkpoint).filename());
}

std::string checkpoint_path(const std::string& run, int64_t step) {
  return folder_of(run) / name_of_step(step);
}

std::vector<std::string> checkpoints(const std::string& run) {
  std::vector<std::pair<int64_t, std::string>> found;
  for (const fs::path& path : entries_of(folder_of(run))) {
    if (const auto step = step_of(path.filename())) found.emplace_back(*step, path);
  }
  std::sort(found.begin(), found.end());
  std::vector<std::string> paths;
  for (auto& [step, path] : found) paths.push_back(std::move(path));
  return paths;
}

void write_manifest(const std::string& checkpoint) {
  const fs::path folder = checkpoint;
  Json manifest;
  for (const char* name : kFiles) manifest[name] = describe({"checkpoint", folder / name});
  if (fs::exists(folder / kEmaFile))
    manifest[kEmaFile] = describe({"checkpoint", folder / kEmaFile});
  write_file_atomically(folder / kManifest, manifest.dump(2));
}

void verify_checkpoint(const std::string& checkpoint, const InputFile* model) {
  try {
    verify(checkpoint, model);
  } catch (const Error& error) {
    fail(error.what(),
         "; take another checkpoint, or name the run's folder, whose newest intact "
         "one is taken then");
  }
}

bool is_intact(const std::string& checkpoint) {
  try {
    verify(checkpoint);
    return true;
  } catch (const std::exception&) {  // a missing or unreadable part is damage like any other
    return false;
  }
}

void verify_if_checkpoint(const std::string& path) {
  std::error_code none;
  const fs::path real = fs::canonical(path, none);
  const bool model = is_model_name(real.filename());
  const fs::path folder = model ? real.parent_path() : real;
  if (fs::is_directory(folder, none) && looks_like_checkpoint(folder)) verify_checkpoint(folder);
}

void verify_if_checkpoint(const InputFile& model) {
  std::error_code none;
  const fs::path real = fs::canonical(model.path(), none), folder = real.parent_path();
  const bool named = is_model_name(real.filename()) && looks_like_checkpoint(folder);
  if (named) verify_checkpoint(folder, &model);
  const bool listed =
      real.filename() == kModelFile || (named && read_manifest(folder).contains(kEmaFile));
  check(listed || !has_our_manifest(folder), "checkpoint: '", model.path(),
        "' lies in a checkpoint whose ", kManifest,
        " does not name it, so nothing tells whether it ", "is damaged; move it elsewhere");
}

std::string newest_checkpoint(const std::string& run, int64_t last) {
  const std::vector<std::string> all = checkpoints(run);
  for (auto it = all.rbegin(); it != all.rend(); ++it) {
    if (step_of_checkpoint(*it) > last) continue;
    try {
      verify(*it);
      return *it;
    } catch (const std::exception& error) {
      tell(std::string(error.what()) + "; trying the one before\n");
    }
  }
  return {};
}

void put_checkpoint(const std::string& building, const std::string& target) {
  if (!fs::exists(fs::symlink_status(target))) return fs::rename(building, target);
  const std::string replaced = target + kReplaced;
  fs::remove_all(replaced);
  fs::rename(target, replaced);
  try {
    fs::rename(building, target);
  } catch (const std::exception&) {
    bring_back(replaced);
    throw;
  }
  remove_quietly(replaced);  // or tidy_run() will find it
}

std::string rotate_checkpoints(const std::string& run, const std::string& written, int keep,
                               const std::string& best) {
  const std::vector<std::string> all = checkpoints(run);
  std::string failures;
  auto left = static_cast<int64_t>(all.size());
  int64_t kept = 0;
  // Those that stay in any case need not be read: kept + left bounds what there is to keep.
  for (auto it = all.rbegin(); it != all.rend() && kept + left > keep; ++it, --left) {
    if (*it == written || (kept < keep && is_intact(*it))) {
      ++kept;
    } else if (kept >= keep && *it != best && is_intact(*it)) {
      failures += try_to_remove(*it);
    }
  }
  return failures;
}

void tidy_run(const std::string& run) {
  for (const fs::path& path : entries_of(folder_of(run))) {
    if (!step_of(path.stem()) && path.filename() != kRemoved) continue;
    if (path.extension() == kReplaced) bring_back(path);
    if (path.extension() == kUnfinished) remove_quietly(path);
  }
  for (const fs::path& path : entries_of(run)) {
    const std::string name = path.filename();
    if (kRecords.contains(name.substr(0, name.find(".tmp-"))) && !kRecords.contains(name))
      remove_quietly(path);
  }
}

}  // namespace diptych
