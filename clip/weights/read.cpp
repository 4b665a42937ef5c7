// clip/weights/read.cpp — opening model files of several kinds.
#include "clip/weights/read.h"

#include <algorithm>
#include <filesystem>

#include "clip/weights/check.h"
#include "clip/weights/choose_config.h"
#include "clip/weights/hugging_face_tokenizer.h"
#include "clip/weights/names.h"
#include "clip/weights/positions.h"
#include "clip/weights/run_folder.h"
#include "tensor/io/file.h"
#include "tensor/io/json.h"
#include "tensor/io/safetensors.h"
#include "tensor/io/sha256.h"
#include "tensor/io/torch_file.h"
#include "tensor/io/zip.h"

namespace diptych {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxConfigBytes = 1 << 20;

void check_sha256(const InputFile& file, std::string wanted) {
  if (wanted.empty()) return;
  std::transform(wanted.begin(), wanted.end(), wanted.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const std::string found = sha256_of_file(file);
  check(found == wanted, "the SHA-256 is ", found, ", not ", wanted,
        "; the file is damaged or another one");
}

bool is_torch_file(const InputFile& file) {
  char start[2] = {};
  if (file.size() >= 2) file.read_at(0, start, 2);
  const std::string extension = fs::path(file.path()).extension().string();
  return std::string_view(start, 2) == "PK" || extension == ".pt" || extension == ".pth" ||
         extension == ".bin";
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

bool is_hugging_face(const std::vector<NamedTensor>& tensors) {
  return std::any_of(tensors.begin(), tensors.end(), [](const NamedTensor& t) {
    return t.name.find("text_model.") != std::string::npos;
  });
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

Weights read_any(const InputFile& file, const LoadOptions& options) {
  Weights weights;
  const SafeTensors content =
      is_torch_file(file) ? SafeTensors{load_torch(file), {}} : load_safetensors(file);
  if (const auto it = content.metadata.find("vocabulary"); it != content.metadata.end())
    weights.vocabulary = it->second;
  const bool hugging_face = is_hugging_face(content.tensors);
  check_values(content.tensors);
  weights.tensors = with_openai_names(content.tensors);
  if (const auto it = content.metadata.find("config"); it != content.metadata.end()) {
    check(options.config.empty() && options.vision_heads == 0 && options.text_heads == 0,
          "the file carries its configuration; --config, --vision-heads and --text-heads are for "
          "files without");
    check(static_cast<int64_t>(it->second.size()) <= kMaxConfigBytes, "config: has ",
          it->second.size(), " bytes, the limit is ", kMaxConfigBytes);
    check_json("config", it->second);
    weights.config = model_config_from_json(it->second);
  } else {
    InferredConfig chosen = choose_config(
        {file.path(), weights.tensors, hugging_face, [&] { return activation_in_code(file); }},
        options);
    weights.config = std::move(chosen.config);
    weights.notes = std::move(chosen.notes);
  }
  if (hugging_face && weights.vocabulary.empty()) add_tokenizer_beside(file.path(), weights);
  if (options.activation) set_activation(*options.activation, weights);
  resize(weights, options.image_size);
  return weights;
}

}  // namespace

Weights read_weights(const std::string& path, const LoadOptions& options) {
  try {
    const InputFile file("model", path);
    check_sha256(file, options.sha256);
    verify_if_checkpoint(file);
    Weights weights = read_any(file, options);
    file.check_unchanged();
    return weights;
  } catch (const Error& error) {
    if (std::string_view(error.what()).starts_with("model: ")) throw;
    fail("model: '", path, "': ", error.what());
  }
}

std::string weights_in_folder(const std::string& folder) {
  for (const char* name : {"open_clip_model.safetensors", "model.safetensors",
                           "open_clip_pytorch_model.bin", "pytorch_model.bin"}) {
    if (const fs::path path = fs::path(folder) / name; is_there(path)) return path.string();
  }
  return {};
}

}  // namespace diptych
