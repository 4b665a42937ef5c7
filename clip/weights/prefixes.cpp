// clip/weights/prefixes.cpp — prefixes from the tensors that only one tower has.
#include "clip/weights/prefixes.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "tensor/io/file.h"
#include "tensor/io/torch_state.h"

namespace diptych {
namespace {

using Tower = Prefixes::Tower;

/// A tensor that a tower has exactly once, by the end of its name. Hugging Face's come first, whose
/// names end in OpenAI's.
struct Anchor {
  std::string_view end, home;
};
constexpr std::array<Anchor, 3> kVision = {{
    {"embeddings.class_embedding", "vision_model."},
    {"class_embedding", "visual."},
    {"attnpool.positional_embedding", "visual."},
}};
constexpr std::array<Anchor, 2> kText = {{
    {"embeddings.token_embedding.weight", "text_model."},
    {"token_embedding.weight", ""},
}};

/// What belongs to no tower, or not to Hugging Face's.
constexpr std::string_view kShared[] = {"logit_scale", "logit_bias", "visual_projection.weight",
                                        "text_projection.weight", "text_projection"};

/// Whether `name` ends with it, after nothing or a dot.
bool ends_with_parts(std::string_view name, std::string_view end) {
  return name.ends_with(end) &&
         (name.size() == end.size() || name[name.size() - end.size() - 1] == '.');
}

Tower tower_at(const std::string& root, std::string_view home) {
  // open_clip's CustomTextCLIP keeps OpenAI's names of the text tower under "text.".
  const std::string_view shown = home.empty() ? "text." : home;
  const bool at_home = ends_with_parts(root, shown);
  return {root, at_home ? root.substr(0, root.size() - shown.size()) : root, std::string(home)};
}

template <size_t N>
void add_tower(const std::array<Anchor, N>& anchors, const std::string& name,
               std::vector<Tower>& towers) {
  for (const auto& [end, home] : anchors) {
    if (!ends_with_parts(name, end)) continue;
    towers.push_back(tower_at(name.substr(0, name.size() - end.size()), home));
    return;
  }
}

bool is_average(const Tower& tower) {
  for (size_t at = 0, dot; (dot = tower.root.find('.', at)) != std::string::npos; at = dot + 1)
    if (detail::is_averaged(std::string_view(tower.root).substr(at, dot - at))) return true;
  return false;
}

void keep_one(const char* kind, std::vector<Tower>& towers) {
  if (!std::all_of(towers.begin(), towers.end(), is_average)) std::erase_if(towers, is_average);
  check(towers.size() < 2, "the file holds ", towers.size(), ' ', kind, " towers",
        towers.size() < 2 ? ""
                          : ", under " + in_quotes(towers[0].root) + " and " +
                                in_quotes(towers[1].root) + "; keep the tensors of one");
}

/// Without parts such as "_orig_mod"; the last part stays.
std::string without_private_parts(std::string_view name) {
  std::string out;
  for (size_t dot; (dot = name.find('.')) != std::string_view::npos; name.remove_prefix(dot + 1))
    if (!name.starts_with('_')) out += name.substr(0, dot + 1);
  return out + std::string(name);
}

/// "logit_scale" of "model.logit_scale", where the root begins with "model.".
std::optional<std::string> shared_name(const std::string& name, const Tower& tower) {
  for (const std::string_view shared : kShared) {
    if (!ends_with_parts(name, shared)) continue;
    if (tower.root.starts_with(name.substr(0, name.size() - shared.size())))
      return std::string(shared);
  }
  return std::nullopt;
}

}  // namespace

Prefixes::Prefixes(const std::vector<NamedTensor>& tensors) {
  std::vector<Tower> vision, text;
  for (const NamedTensor& x : tensors) {
    const std::string name = without_private_parts(x.name);
    add_tower(kVision, name, vision);
    add_tower(kText, name, text);
  }
  keep_one("image", vision);
  keep_one("text", text);
  towers_ = std::move(vision);
  towers_.insert(towers_.end(), text.begin(), text.end());
  std::stable_sort(towers_.begin(), towers_.end(),
                   [](const Tower& a, const Tower& b) { return a.root.size() > b.root.size(); });
}

std::optional<std::string> Prefixes::strip(const std::string& full) const {
  const std::string name = without_private_parts(full);
  if (towers_.empty()) return name;
  for (const Tower& tower : towers_)
    if (auto shared = shared_name(name, tower)) return shared;
  for (const Tower& tower : towers_)
    if (name.starts_with(tower.root)) return tower.home + name.substr(tower.root.size());
  for (const Tower& tower : towers_)
    if (name.starts_with(tower.outer)) return name.substr(tower.outer.size());
  return std::nullopt;
}

}  // namespace diptych
