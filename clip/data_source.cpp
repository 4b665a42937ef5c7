// clip/data_source.cpp — datasets by name.
#include "clip/data_source.h"

#include <algorithm>
#include <filesystem>

#include "data/class_folders.h"
#include "data/tinted_fashion.h"

namespace diptych {
namespace {

// What training can show: the held-out combinations are in none of these sentences, their words
// are.
void fashion_captions(const std::function<void(std::string_view)>& each) {
  for (int t = 0; t < tinted::kTemplates; ++t) {
    for (int garment = 0; garment < tinted::kGarments; ++garment) {
      for (int colour = 0; colour < tinted::kColours; ++colour) {
        if (!tinted::is_held_out(colour, garment)) each(tinted::caption(colour, garment, t));
      }
    }
  }
}

Texts captions_of(const PairList& pairs) {
  return [&pairs](const auto& each) {
    for (int64_t i = 0; i < pairs.size(); ++i) each(pairs.caption(i));
  };
}

// The pictures of a folder are listed with its name before theirs.
std::string_view below(const std::string& folder, std::string_view path) {
  if (folder.empty() || !path.starts_with(folder)) return path;
  path.remove_prefix(folder.size());
  return path.substr(std::min(path.find_first_not_of('/'), path.size()));
}

Texts pictures_of(const PairList& pairs, const std::string& spec) {
  const std::string folder = std::filesystem::is_directory(spec) ? spec : "";
  return [&pairs, folder](const auto& each) {
    for (int64_t i = 0; i < pairs.size(); ++i) each(below(folder, pairs.given_path(i)));
  };
}

}  // namespace

Texts names_of(const Dataset& dataset) {
  return [&dataset](const auto& each) {
    for (int64_t i = 0; i < dataset.size(); ++i) each(dataset.name_of(i));
  };
}

DataSource open_training_data(const std::string& spec, const PairOptions& options,
                              const Preprocess& preprocess, const ImageLimits& limits,
                              uint64_t seed) {
  if (spec == "fashion") {
    TintedOptions tinted;
    tinted.split = Split::train;
    tinted.seed = seed;
    tinted.preprocess = preprocess;
    tinted.flip = true;
    auto dataset = std::make_unique<TintedFashion>(tinted);
    const Texts pictures = names_of(*dataset);
    return {std::move(dataset), fashion_captions, pictures, {}, {}, {}};
  }
  PairSource source = open_pairs(spec, options);
  auto dataset = std::make_unique<PairDataset>(std::move(source.pairs), preprocess, seed,
                                               /*training=*/true, limits);
  const PairList& pairs = dataset->pairs();
  const Texts files = names_of(*dataset);
  return {std::move(dataset),         captions_of(pairs),      pictures_of(pairs, spec), files,
          std::move(source.left_out), std::move(source.others)};
}

LabelledSource open_class_folders(const std::string& folder, const Preprocess& preprocess,
                                  const ImageLimits& limits) {
  auto dataset = std::make_unique<ClassFolders>(folder, preprocess, limits);
  LabelledSource source{nullptr, dataset->class_names(), dataset->empty_classes(),
                        dataset->left_out(), dataset->others()};
  source.dataset = std::move(dataset);
  return source;
}

}  // namespace diptych
