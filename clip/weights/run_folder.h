// clip/weights/run_folder.h — the folder of a run: its checkpoints, and which of them are intact.
#pragma once

#include <string>
#include <vector>

namespace diptych {

// The files of a checkpoint.
inline constexpr const char* kModelFile = "model.safetensors";
inline constexpr const char* kTrainingFile = "training.safetensors";

/// The folders <run>/checkpoints/step_<step>, the newest last.
std::vector<std::string> checkpoints(const std::string& run);

/// Writes manifest.json with the size and CRC-32 of both files of a checkpoint.
void write_manifest(const std::string& checkpoint);

/// The newest checkpoint of a run whose manifest verifies, as a path; empty if there is none. A
/// damaged one is reported on stderr and passed over.
std::string newest_checkpoint(const std::string& run);

}  // namespace diptych
