// clip/model_file.cpp — writing a model, and opening one without guessing.
#include "clip/model_file.h"

#include <filesystem>

#include "clip/checkpoint.h"
#include "clip/infer_config.h"
#include "clip/vocabulary.h"
#include "tensor/safetensors.h"

namespace diptych {
namespace {

std::string model_path(const std::string& path) {
  if (!std::filesystem::is_directory(path)) return path;
  const std::string checkpoint = newest_checkpoint(path);
  check(!checkpoint.empty(), "model: '", path,
        "' holds no intact checkpoint; is it the folder of a run, such as logs/demo?");
  return checkpoint + "/model.safetensors";
}

ModelConfig config_of(const SafeTensors& file, LoadedModel& loaded) {
  const auto it = file.metadata.find("config");
  if (it != file.metadata.end()) return model_config_from_json(it->second);
  InferredConfig inferred = infer_config(file.tensors);
  loaded.notes = std::move(inferred.notes);
  return inferred.config;
}

}  // namespace

const Tokenizer& LoadedModel::words() const {
  check(tokenizer.has_value(), "model: '", path, "' carries no vocabulary; ",
        model->config().text.vocab_size == kOpenAiVocabulary ? kVocabularyHint
                                                             : "name its merges file with --vocab");
  check(tokenizer->vocab_size() <= model->config().text.vocab_size, "model: the vocabulary has ",
        tokenizer->vocab_size(), " tokens, '", path, "' knows ", model->config().text.vocab_size);
  return *tokenizer;
}

std::string LoadedModel::head_folder() const {
  return (std::filesystem::path(path).parent_path() / "heads").string();
}

void save_model(const std::string& path, const Clip& model, const Tokenizer* tokenizer) {
  std::vector<NamedTensor> tensors;
  for (const auto& entry : model.state()) tensors.push_back({entry.name, entry.tensor});
  Metadata metadata{{"format", "diptych"}, {"config", to_json(model.config())}};
  if (tokenizer) metadata["vocabulary"] = tokenizer->merges_text();
  save_safetensors(path, tensors, metadata);
}

LoadedModel load_model(const std::string& path) {
  LoadedModel loaded;
  loaded.path = model_path(path);
  const SafeTensors file = load_safetensors(loaded.path);
  try {
    loaded.model = std::make_unique<Clip>(config_of(file, loaded));
    loaded.model->load_state(file.tensors);
    loaded.model->eval();
    const auto vocabulary = file.metadata.find("vocabulary");
    if (vocabulary != file.metadata.end())
      loaded.tokenizer = Tokenizer::from_merges(vocabulary->second);
  } catch (const Error& error) {
    fail("model: '", loaded.path, "': ", error.what());
  }
  return loaded;
}

}  // namespace diptych
