// clip/weights/prefixes.h — where among the names in a file the towers of a CLIP are.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace diptych {

/// What stands in front of a model's names, found from the names themselves: each tower has a
/// tensor of its own that no other has, and what precedes it precedes the whole tower, be it
/// "module.", "_orig_mod.module.", "clip_model." or an attribute of a class that somebody wrote
/// around it. open_clip's "text." is such a part too, and a tower saved alone has not even
/// "visual.". Parts that begin with "_" are taken out wherever they stand: Python's mark of what
/// wrappers (torch.compile, FSDP, activation checkpoints) put between.
class Prefixes {
 public:
  /// Throws Error if there are two towers of a kind, naming both; one under a name with "ema" in it
  /// is passed over for another.
  explicit Prefixes(const std::vector<NamedTensor>&);

  /// The name that OpenAI or Hugging Face gives the tensor; nothing if it lies outside of the part
  /// that the model's prefix marks off: an optimizer's, a loss's, an average's.
  std::optional<std::string> strip(const std::string& name) const;

  struct Tower {
    std::string root;   ///< in front of the tower's own names
    std::string outer;  ///< in front of the model's: root without `home`, if it ends so
    std::string home;   ///< what a model has in front of the tower's names: "visual."
  };

 private:
  std::vector<Tower> towers_;  // the longer root first
};

}  // namespace diptych
