// clip/weights/names.h — the names that other libraries give the same tensors.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tensor/tensor.h"

namespace diptych {

/// Tensors of a CLIP under OpenAI's names, in whatever library's names and layout they came:
/// OpenAI's and open_clip's, or Hugging Face's (transformers, CLIPModel: q, k and v apart,
/// projections transposed), with anything in front (see Prefixes). Masks, position ids and sizes
/// stored as tensors are dropped, and so is what lies outside of the model's prefix. Throws Error
/// if a q, k or v lacks its companions or comes twice, or if there are two models.
std::vector<NamedTensor> with_openai_names(const std::vector<NamedTensor>&);

/// The tensors of a file that belong to a model.
struct ModelTensors {
  std::vector<NamedTensor> tensors;   ///< under the names they have in the file; without masks
  bool hugging_face = false;          ///< those names are transformers'
  std::vector<std::string> left_out;  ///< names of what lies outside of the model's prefix
};
ModelTensors find_model(std::vector<NamedTensor>);

/// Whether that keeps a tensor of this name: no mask, no size.
bool is_weight(std::string_view name);

/// The reverse, for Hugging Face. Throws Error on a tensor that has no name there, such as those of
/// a ResNet.
std::vector<NamedTensor> with_hugging_face_names(const std::vector<NamedTensor>&);

}  // namespace diptych
