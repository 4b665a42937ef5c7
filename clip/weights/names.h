// clip/weights/names.h — the names that other libraries give the same tensors.
#pragma once

#include <string_view>
#include <vector>

#include "tensor/tensor.h"

namespace diptych {

/// Tensors of a CLIP under OpenAI's names, in whatever library's names and layout they came:
/// OpenAI's and open_clip's (with "module.", "_orig_mod." or a "text." tower in front), or Hugging
/// Face's (transformers, CLIPModel: q, k and v apart, projections transposed). Masks, position ids
/// and sizes stored as tensors are dropped. Throws Error if a q, k or v lacks its companions.
std::vector<NamedTensor> with_openai_names(const std::vector<NamedTensor>&);

/// Whether that keeps a tensor of this name.
bool is_weight(std::string_view name);

/// The reverse, for Hugging Face. Throws Error on a tensor that has no name there, such as those of
/// a ResNet.
std::vector<NamedTensor> with_hugging_face_names(const std::vector<NamedTensor>&);

}  // namespace diptych
