// clip/weights/read.cpp — opening model files of several kinds.
#include "clip/weights/read.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "clip/weights/check.h"
#include "clip/weights/choose_config.h"
#include "clip/weights/hugging_face_tokenizer.h"
#include "clip/weights/names.h"
#include "clip/weights/positions.h"
#include "clip/weights/quoted_list.h"
#include "clip/weights/shards.h"
#include "tensor/factory.h"
#include "tensor/io/file.h"
#include "tensor/io/json.h"
#include "tensor/io/zip.h"

namespace diptych {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxConfigBytes = 1 << 20;

void check_sha256(const ModelFiles& files, std::string wanted) {
  if (wanted.empty()) return;
  std::transform(wanted.begin(), wanted.end(), wanted.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const std::string found = files.sha256();
  check(found == wanted, "the SHA-256 is ", found, ", not ", wanted,
        "; the file is damaged or another one");
}

// TorchScript archives carry the code of the model: QuickGELU's factor is in it, or a call of gelu.
std::optional<nn::Activation> activation_in_code(const InputFile& file) {
  constexpr int64_t kMaxCode = 1 << 20, kMaxCodeInAll = 16 << 20;  // of OpenAI's: 0.4 MB
  if (!is_torch_file(file)) return std::nullopt;
  const ZipArchive archive(file);
  std::optional<nn::Activation> found;
  int64_t total = 0;
  for (const ZipEntry& entry : archive.entries()) {
    if (!entry.name.ends_with(".py")) continue;
    const std::string code = archive.read_text(entry, kMaxCode);
    total += static_cast<int64_t>(code.size());
    check(total <= kMaxCodeInAll, "more than ", kMaxCodeInAll, " bytes of code");
    if (code.find("1.702") != std::string::npos) return nn::Activation::quick_gelu;
    if (code.find("torch.gelu(") != std::string::npos) found = nn::Activation::gelu;
  }
  return found;
}

void add_tokenizer_beside(const std::string& path, Weights& weights) {
  FoundTokenizer found = read_hugging_face_tokenizer(fs::path(path).parent_path().string());
  if (found.tokenizer) weights.vocabulary = found.tokenizer->merges_text();
  if (weights.config.foreign_tokenizer.empty()) weights.config.foreign_tokenizer = found.foreign;
}

void set_activation(nn::Activation wanted, Weights& weights) {
  const nn::Activation known = weights.config.text.transformer.activation;
  weights.notes += std::string("activation ") + nn::name(wanted) + ": as --activation says";
  weights.notes += known == wanted ? "\n" : std::string(", instead of ") + nn::name(known) + '\n';
  weights.config.set_activation(wanted);
}

void resize(Weights& weights, int64_t image_size) {
  ModelConfig& c = weights.config;
  check(image_size == 0 || c.has_image(), "--image-size: there is no image tower");
  if (image_size == 0 || image_size == c.image_size()) return;
  const int64_t cell = c.vit() ? c.vit()->patch_size : 32;
  check(image_size % cell == 0, "image size ", image_size, " is not a multiple of ", cell);
  const std::string name =
      c.vit() ? "visual.positional_embedding" : "visual.attnpool.positional_embedding";
  for (NamedTensor& t : weights.tensors)
    if (t.name == name) t.tensor = resize_positions(t.tensor, image_size / cell);
  check(c.preprocess.shortest == 0, "pictures are resized to ", c.preprocess.shortest,
        " before a crop of ", c.image_size(), "; what that would be at ", image_size,
        " is unknown");
  c.preprocess.size = image_size;
}

void note(const char* what, const std::vector<std::string>& names, std::string& notes) {
  if (!names.empty()) notes += what + quoted_list(names, 5) + '\n';
}

/// Whether the free text in a header is ours. Others have a "config", too.
bool is_ours(const Metadata& metadata) {
  const auto format = metadata.find("format"), config = metadata.find("config");
  if (config == metadata.end()) return false;
  if (format != metadata.end() && format->second == "diptych") return true;
  if (static_cast<int64_t>(config->second.size()) > kMaxConfigBytes) return false;
  try {
    check_json("config", config->second);
  } catch (const Error&) {
    return false;
  }
  const auto json = nlohmann::json::parse(config->second);
  return json.is_object() && json.contains("vision") && json.contains("text");
}

void add_our_config(const std::string& json, const LoadOptions& options, Weights& weights) {
  check(options.config.empty() && options.vision_heads == 0 && options.text_heads == 0,
        "the file carries its configuration; --config, --vision-heads and --text-heads are for "
        "files without");
  check(static_cast<int64_t>(json.size()) <= kMaxConfigBytes, "config: has ", json.size(),
        " bytes, the limit is ", kMaxConfigBytes);
  check_json("config", json);
  weights.config = model_config_from_json(json);
  weights.config.towers = towers_in(weights.tensors);  // somebody may have cut one out
}

void add_chosen_config(const InputFile& file, bool hugging_face, const LoadOptions& options,
                       Weights& weights) {
  InferredConfig chosen = choose_config(
      {file.path(), weights.tensors, hugging_face, [&] { return activation_in_code(file); }},
      options);
  weights.config = std::move(chosen.config);
  weights.notes += chosen.notes;
}

void check_towers(const LoadOptions& options, Weights& weights) {
  const Towers there = weights.config.towers;
  if (there == Towers::both) return;
  const bool image = there == Towers::image;
  check(there == options.needed, "holds no ", image ? "text" : "image",
        " tower, which this needs; it serves embed of ", image ? "pictures" : "texts", " alone");
  const auto is_scale = [](const NamedTensor& x) { return x.name == "logit_scale"; };
  if (std::none_of(weights.tensors.begin(), weights.tensors.end(), is_scale))
    weights.tensors.push_back({"logit_scale", zeros({})});
}

Weights read_any(const ModelFiles& files, const LoadOptions& options) {
  Weights weights;
  std::vector<std::string> around;
  SafeTensors content = files.load(around);
  const bool ours = is_ours(content.metadata);
  const auto words = content.metadata.find("vocabulary");
  if (ours && words != content.metadata.end()) weights.vocabulary = words->second;
  if (!ours && content.metadata.contains("config"))
    weights.notes += "the header's \"config\" is another program's: not read\n";
  ModelTensors found = find_model(std::move(content.tensors));
  note("beside the state dict, not read: ", around, weights.notes);
  note("outside of the model's prefix, not read: ", found.left_out, weights.notes);
  check_values(found.tensors);
  weights.tensors = with_openai_names(found.tensors);
  if (ours)
    add_our_config(content.metadata.at("config"), options, weights);
  else
    add_chosen_config(files.named(), found.hugging_face, options, weights);
  check_towers(options, weights);
  if (found.hugging_face && weights.vocabulary.empty() && weights.config.has_text())
    add_tokenizer_beside(files.named().path(), weights);
  if (options.activation) set_activation(*options.activation, weights);
  resize(weights, options.image_size);
  return weights;
}

}  // namespace

Weights read_weights(const std::string& path, const LoadOptions& options) {
  try {
    const ModelFiles files(path);
    check_sha256(files, options.sha256);
    files.verify_checkpoints();
    Weights weights = read_any(files, options);
    files.check_unchanged();
    return weights;
  } catch (const Error& error) {
    if (std::string_view(error.what()).starts_with("model: ")) throw;
    fail("model: '", path, "': ", error.what());
  }
}

}  // namespace diptych
