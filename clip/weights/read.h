// clip/weights/read.h — the tensors and the configuration of a model file, whoever wrote it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "clip/config.h"

namespace diptych {

/// What a file may leave open, and what may be changed about it.
struct LoadOptions {
  std::optional<nn::Activation> activation = {};  ///< overrides what the file says or leaves open
  int64_t image_size = 0;                         ///< R: positions are resized to it; 0: the file's
  std::string sha256 = {};  ///< see ModelFiles::sha256, as hexadecimal digits; empty: not checked
  std::string config = {};  ///< the configuration of bare weights, of any of the three formats
  int64_t vision_heads = 0, text_heads = 0;  ///< of bare weights; 0: not given
  Towers needed = Towers::both;              ///< a file that has this tower alone will do
};

struct Weights {
  std::vector<NamedTensor> tensors;  ///< under OpenAI's names
  ModelConfig config;
  std::string vocabulary;  ///< merges, if the file holds them
  std::string notes;       ///< what was inferred, and from what; empty if the file said everything
};

/// Reads, judged by content:
///   - our .safetensors, which say everything;
///   - .safetensors and PyTorch's files (see load_torch) of OpenAI, open_clip and Hugging Face:
///     see choose_config. In one file or in shards: see ModelFiles. One tower alone, if that is
///     what `options` need; it then has a temperature nobody asked for, if none came with it.
/// Weights that are no numbers are refused: see check_values.
/// The activation cannot be seen in a shape and a wrong one costs accuracy silently: where nothing
/// tells it, and `options` do not either, this throws Error. So it does on a wrong SHA-256, before
/// the file is looked into. The file is opened once: what was judged is what is read.
Weights read_weights(const std::string& path, const LoadOptions& options = {});

}  // namespace diptych
