// clip/weights/read.cpp — opening model files of several kinds.
#include "clip/weights/read.h"

#include <algorithm>
#include <filesystem>

#include "clip/weights/foreign_config.h"
#include "clip/weights/infer_config.h"
#include "clip/weights/names.h"
#include "clip/weights/positions.h"
#include "tensor/io/file.h"
#include "tensor/io/safetensors.h"
#include "tensor/io/sha256.h"
#include "tensor/io/torch_file.h"
#include "tensor/io/zip.h"

namespace diptych {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxConfigBytes = 1 << 20;

void check_sha256(const std::string& path, std::string wanted) {
  if (wanted.empty()) return;
  std::transform(wanted.begin(), wanted.end(), wanted.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const std::string found = sha256_of_file(path);
  check(found == wanted, "the SHA-256 is ", found, ", not ", wanted,
        "; the file is damaged or another one");
}

bool is_torch_file(const std::string& path) {
  const InputFile file("model", path);
  char start[2] = {};
  if (file.size() >= 2) file.read_at(0, start, 2);
  const std::string extension = fs::path(path).extension().string();
  return std::string_view(start, 2) == "PK" || extension == ".pt" || extension == ".pth" ||
         extension == ".bin";
}

// TorchScript archives carry the code of the model: QuickGELU's factor is in it, or a call of gelu.
std::optional<nn::Activation> activation_in_code(const std::string& path) {
  constexpr int64_t kMaxCode = 1 << 20;
  if (!is_torch_file(path)) return std::nullopt;
  const ZipArchive archive("model", path);
  std::optional<nn::Activation> found;
  for (const ZipEntry& entry : archive.entries()) {
    if (!entry.name.ends_with(".py")) continue;
    const std::string code = archive.read_text(entry, kMaxCode);
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

/// What stands beside the weights, if its name shows that it belongs to them.
std::string config_beside(const std::string& path, bool hugging_face) {
  const fs::path folder = fs::path(path).parent_path();
  const bool open_clip = fs::path(path).filename().string().starts_with("open_clip");
  if (!hugging_face && !open_clip) return {};
  const std::string beside =
      (folder / (open_clip ? "open_clip_config.json" : "config.json")).string();
  return fs::exists(beside) ? beside : "";
}

void add_config_beside(const std::string& beside, bool hugging_face, Weights& weights) {
  const std::string json = read_file(beside, kMaxConfigBytes);
  hugging_face ? apply_hugging_face_config(json, weights.config)
               : apply_open_clip_config(json, weights.config);
  weights.notes = "sizes: from the tensors' shapes\nheads, activation: from " + beside + '\n';
}

void add_activation_in_code(const std::string& path, Weights& weights) {
  const auto activation = activation_in_code(path);
  check(activation.has_value(),
        "nothing tells which activation it was trained with; give --activation quick_gelu "
        "(OpenAI's weights, MetaCLIP, DFN, open_clip's *-quickgelu) or --activation gelu "
        "(open_clip's others)");
  weights.config.activation = *activation;
  weights.notes +=
      std::string("activation ") + nn::name(*activation) + ": from the code in the archive\n";
}

/// Sizes from shapes, the rest from what else there is. Notes say what came from where.
void infer(const std::string& path, bool hugging_face, const LoadOptions& options,
           Weights& weights) {
  InferredConfig inferred = infer_config(weights.tensors);
  weights.config = inferred.config;
  weights.notes = std::move(inferred.notes);
  const std::string beside = config_beside(path, hugging_face);
  if (!beside.empty()) {
    add_config_beside(beside, hugging_face, weights);
  } else if (!options.activation) {
    add_activation_in_code(path, weights);
  }
  check_heads(weights.config);
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
  c.preprocess.size = image_size;
}

Weights read_any(const std::string& path, const LoadOptions& options) {
  Weights weights;
  const SafeTensors file =
      is_torch_file(path) ? SafeTensors{load_torch(path), {}} : load_safetensors(path);
  if (const auto it = file.metadata.find("vocabulary"); it != file.metadata.end())
    weights.vocabulary = it->second;
  const bool hugging_face = is_hugging_face(file.tensors);
  weights.tensors = with_openai_names(file.tensors);
  if (const auto it = file.metadata.find("config"); it != file.metadata.end()) {
    weights.config = model_config_from_json(it->second);
  } else {
    infer(path, hugging_face, options, weights);
  }
  if (options.activation) weights.config.activation = *options.activation;
  resize(weights, options.image_size);
  return weights;
}

}  // namespace

Weights read_weights(const std::string& path, const LoadOptions& options) {
  try {
    check_sha256(path, options.sha256);
    return read_any(path, options);
  } catch (const Error& error) {
    fail("model: '", path, "': ", error.what());
  }
}

std::string weights_in_folder(const std::string& folder) {
  for (const char* name : {"open_clip_model.safetensors", "model.safetensors",
                           "open_clip_pytorch_model.bin", "pytorch_model.bin"}) {
    if (const fs::path path = fs::path(folder) / name; fs::exists(path)) return path.string();
  }
  return {};
}

}  // namespace diptych
