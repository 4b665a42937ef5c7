// clip/eval/templates.h — sets of sentences known by name.
#pragma once

#include <span>
#include <string_view>

namespace diptych {

/// The 80 sentences OpenAI used for ImageNet (Radford et al., 2021, section 3.1.4), "{}" in each.
std::span<const std::string_view> openai_templates();

/// The seven of them that a greedy search found: for ViT-B/32 slightly better than all 80 (OpenAI,
/// Prompt_Engineering_for_ImageNet.ipynb).
std::span<const std::string_view> openai_best_templates();

}  // namespace diptych
