// clip/weights/run_folder.h — the folder of a run: its checkpoints, and which of them are intact.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tensor/io/file.h"

namespace diptych {

// The files of a checkpoint.
inline constexpr const char* kModelFile = "model.safetensors";
inline constexpr const char* kTrainingFile = "training.safetensors";
inline constexpr const char* kEmaFile = "ema.safetensors";  ///< of runs that keep an average

/// Where the checkpoint of a step is: <run>/checkpoints/step_00000012. Eight digits, or as many as
/// it takes.
std::string checkpoint_path(const std::string& run, int64_t step);

/// The folders of that kind in the order of their steps. What has another name, a copy called
/// step_best for example, is somebody else's.
std::vector<std::string> checkpoints(const std::string& run);

/// Writes manifest.json with the size and CRC-32 of both files of a checkpoint.
void write_manifest(const std::string& checkpoint);

/// Throws Error, naming the file and what is wrong with it, unless the folder has a manifest and
/// both files are regular ones with the size and CRC-32 it says.
/// `model`: its model if that is open already; it is read through this descriptor.
void verify_checkpoint(const std::string& checkpoint, const InputFile* model = nullptr);
bool is_intact(const std::string& checkpoint);

/// verify_checkpoint() if the path, or what it links to, is a checkpoint or the model inside one;
/// nothing for models that come from elsewhere.
void verify_if_checkpoint(const std::string& path);
/// The same for a model that is open: what was verified is what is read through it.
void verify_if_checkpoint(const InputFile& model);

/// The step that a checkpoint's folder is named for, if it is.
std::optional<int64_t> step_of_checkpoint(const std::string& checkpoint);

/// The newest checkpoint of a run, of those up to the step `last`, whose manifest verifies, as a
/// path; empty if there is none. A damaged one is reported on stderr and passed over.
std::string newest_checkpoint(const std::string& run, int64_t last = INT64_MAX);

/// Puts the finished folder `building` where the checkpoint of that step belongs. One that is there
/// already is replaced: whatever happens, one of the two is there, or will be after tidy_run().
void put_checkpoint(const std::string& building, const std::string& target);

/// Deletes the intact checkpoints but the `keep` newest, and never `written` or `best`. A damaged
/// one neither counts nor goes. Returns what could not be deleted, and why, as the end of a
/// sentence.
std::string rotate_checkpoints(const std::string& run, const std::string& written, int keep,
                               const std::string& best = "");

/// <run>/best leads to the checkpoint whose model validated best, so that it opens as a model by
/// that name. A link that was there is replaced at once or not at all, anything else stays. Returns
/// why it could not be made, as a sentence; empty if it is there.
std::string mark_best_checkpoint(const std::string& run, int64_t step);
/// The checkpoint that is marked as best; empty if none is.
std::string best_checkpoint(const std::string& run);

/// Ends what a process that died has begun in the folder: half-written and half-deleted checkpoints
/// go. Only for who holds the run's lock. Throws nothing: what cannot be deleted is in nobody's
/// way.
void tidy_run(const std::string& run);

}  // namespace diptych
