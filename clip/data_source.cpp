// clip/data_source.cpp — datasets by name.
#include "clip/data_source.h"

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

}  // namespace

DataSource open_training_data(const std::string& spec, const PairOptions& options,
                              const Preprocess& preprocess, const ImageLimits& limits,
                              uint64_t seed) {
  if (spec == "fashion") {
    TintedOptions tinted;
    tinted.split = Split::train;
    tinted.seed = seed;
    tinted.preprocess = preprocess;
    tinted.flip = true;
    return {std::make_unique<TintedFashion>(tinted), fashion_captions, {}};
  }
  PairSource source = open_pairs(spec, options);
  auto dataset = std::make_unique<PairDataset>(std::move(source.pairs), preprocess, seed,
                                               /*training=*/true, limits);
  const auto captions = [&pairs = dataset->pairs()](const auto& each) {
    for (int64_t i = 0; i < pairs.size(); ++i) each(pairs.caption(i));
  };
  return {std::move(dataset), captions, std::move(source.skipped)};
}

LabelledSource open_class_folders(const std::string& folder, const Preprocess& preprocess) {
  auto dataset = std::make_unique<ClassFolders>(folder, preprocess);
  std::vector<std::string> names = dataset->class_names();
  return {std::move(dataset), std::move(names)};
}

}  // namespace diptych
