// clip/weights/model_folder.h — which file in a folder is the model.
#pragma once

#include <string>

namespace diptych {

struct FolderModel {
  std::string path;  ///< a file of weights, or an index of shards
  std::string note;  ///< what else could have been meant; ends with a line break, or is empty
};

/// The weights in a folder, the first that is there of (before all, ema.safetensors of a checkpoint
/// of ours: what validation looked at):
///   1. open_clip_model.safetensors, model.safetensors, model.safetensors.index.json,
///      open_clip_pytorch_model.bin, pytorch_model.bin, pytorch_model.bin.index.json, as open_clip
///      and Hugging Face write them;
///   2. the newest intact checkpoint of a run of ours;
///   3. epoch_N.pt with the largest N, or epoch_latest.pt, here or in checkpoints/: open_clip's
///      training;
///   4. what refs/main names in snapshots/, or the only one: Hugging Face's cache;
///   5. the only .safetensors, .bin, .pt or .pth file of another name, without what trainers keep
///      beside a model (optimizer, scheduler, rng_state, training_args).
/// Throws Error, naming what is there, if there is nothing of these, if several files could be
/// meant by 4 or 5, or if the folder is a damaged checkpoint of ours.
FolderModel find_model_in(const std::string& folder);

}  // namespace diptych
