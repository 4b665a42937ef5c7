// clip/weights/model_file.cpp — writing a model, and opening one without guessing.
#include "clip/weights/model_file.h"

#include <filesystem>

#include "clip/weights/check.h"
#include "clip/weights/model_folder.h"
#include "clip/weights/vocabulary.h"
#include "tensor/io/file.h"
#include "tensor/io/safetensors.h"

namespace diptych {
namespace {

FolderModel model_at(const std::string& path) {
  return is_folder(path) ? find_model_in(path) : FolderModel{path, ""};
}

}  // namespace

const Tokenizer& LoadedModel::words() const {
  const ModelConfig& config = model->config();
  check(config.foreign_tokenizer.empty(), "model: '", path, "' reads the tokens of '",
        config.foreign_tokenizer, "', which is not supported; give ids with embed --tokens");
  check(tokenizer.has_value(), "model: '", path, "' carries no vocabulary; ",
        config.text.vocab_size == kOpenAiVocabulary ? kVocabularyHint
                                                    : "name its merges file with --vocab");
  check(tokenizer->vocab_size() <= config.text.vocab_size, "model: the vocabulary has ",
        tokenizer->vocab_size(), " tokens, '", path, "' knows ", config.text.vocab_size);
  check(config.text.pooling != nn::TextPooling::eos || config.text.eos_id == tokenizer->end_token(),
        "model: '", path, "' reads captions at token ", config.text.eos_id,
        ", the vocabulary ends them with ", tokenizer->end_token());
  return *tokenizer;
}

std::string LoadedModel::head_folder() const {
  return (std::filesystem::path(path).parent_path() / "heads").string();
}

void save_model(const std::string& path, const Clip& model, const Tokenizer* tokenizer) {
  save_model(path, model, model.state_dict(), tokenizer);
}

void save_model(const std::string& path, const Clip& model, const std::vector<NamedTensor>& values,
                const Tokenizer* tokenizer) {
  check(model.config().towers == Towers::both, "model: '", path, "' needs both towers");
  Metadata metadata{{"format", "diptych"}, {"config", to_json(model.config())}};
  if (tokenizer) metadata["vocabulary"] = tokenizer->merges_text();
  save_safetensors(path, values, metadata);
}

LoadedModel load_model(const std::string& path, const LoadOptions& options) {
  LoadedModel loaded;
  const FolderModel found = model_at(path);
  loaded.path = found.path;
  const Weights weights = read_weights(loaded.path, options);
  loaded.notes = found.note + weights.notes;
  try {
    check_sizes(weights.config, weights.tensors);
    loaded.model = std::make_unique<Clip>(weights.config);
    loaded.model->load_state(weights.tensors);
    loaded.model->eval();
    if (!weights.vocabulary.empty()) loaded.tokenizer = Tokenizer::from_merges(weights.vocabulary);
  } catch (const Error& error) {
    fail("model: '", loaded.path, "': ", error.what());
  }
  return loaded;
}

}  // namespace diptych
