// clip/weights/model_file.h — models as files: safetensors with OpenAI's names and the
// configuration as metadata.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "clip/model.h"
#include "clip/weights/read.h"
#include "data/text/tokenizer.h"

namespace diptych {

struct LoadedModel {
  std::unique_ptr<Clip> model;
  std::optional<Tokenizer> tokenizer;  ///< absent if the file carries none
  std::string path;                    ///< the file itself
  std::string notes;  ///< what was inferred, and from what; empty if the file said everything

  /// The tokenizer. Throws Error, saying how to supply one, if there is none or if it makes ids the
  /// model does not have.
  const Tokenizer& words() const;
  /// For cached_zero_shot_head: a folder beside the file.
  std::string head_folder() const;
};

/// Writes parameters, configuration and vocabulary. On any Error the file of before is unchanged.
void save_model(const std::string& path, const Clip&, const Tokenizer*);
/// The same with other values for the model's parameters.
void save_model(const std::string& path, const Clip&, const std::vector<NamedTensor>& values,
                const Tokenizer*);

/// Opens a model in evaluation mode: a file of any kind that read_weights knows, or what
/// find_model_in finds in a folder: a Hugging Face or open_clip repository or run, a checkpoint, or
/// a run such as logs/demo. What is inside a checkpoint must be what its manifest says. Throws
/// Error naming the file, and the tensors that are missing, unexpected or misshapen.
LoadedModel load_model(const std::string& path, const LoadOptions& options = {});

}  // namespace diptych
