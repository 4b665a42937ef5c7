// clip/weights/choose_config.cpp — what stands beside the weights, what the user says, and what is
// assumed.
#include "clip/weights/choose_config.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "clip/weights/hugging_face_config.h"
#include "clip/weights/open_clip_config.h"
#include "tensor/io/file.h"
#include "tensor/io/json.h"

namespace diptych {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxConfigBytes = 1 << 20;

/// `name` in the folder of `path`; empty if there is none.
std::string beside(const std::string& path, const char* name) {
  const fs::path file = fs::path(path).parent_path() / name;
  return is_there(file) ? file.string() : "";
}

/// f(json of the file), its errors with the path.
template <class F>
void read_config(const std::string& file, const F& f) {
  const std::string json = read_file(file, kMaxConfigBytes);
  check_json('\'' + file + '\'', json);
  try {
    f(json);
  } catch (const Error& error) {
    fail("'", file, "': ", error.what());
  }
}

/// transformers 5 writes processor_config.json and prefers it; its part image_processor is what
/// preprocessor_config.json holds.
std::string add_hugging_face_pixels(const std::string& config, ModelConfig& c) {
  const auto apply = [&c](const std::string& json) { apply_hugging_face_preprocessor(json, c); };
  const std::string both = beside(config, "processor_config.json");
  bool found = false;
  if (!both.empty())
    read_config(both, [&](const std::string& text) {
      const auto json = nlohmann::ordered_json::parse(text);
      found = json.is_object() && json.contains("image_processor");
      if (found) apply(json.at("image_processor").dump());
    });
  const std::string alone = found ? "" : beside(config, "preprocessor_config.json");
  if (!alone.empty()) read_config(alone, apply);
  return found ? both : alone;
}

void add_hugging_face(const std::string& file, InferredConfig& out) {
  read_config(file, [&](const auto& json) { apply_hugging_face_config(json, out.config); });
  out.notes += "heads, activation, eps, end token: from " + file + '\n';
  if (!out.config.has_image()) return;
  const std::string pixels = add_hugging_face_pixels(file, out.config);
  out.notes +=
      "mean, std, resizing: " + (pixels.empty() ? "OpenAI's, assumed" : "from " + pixels) + '\n';
}

void add_open_clip(const std::string& file, InferredConfig& out) {
  read_config(file, [&](const auto& json) { apply_open_clip_config(json, out.config); });
  out.notes += "heads, activation, eps, mask, pooling, mean, std, resizing: from " + file + '\n';
}

void add_ours(const std::string& file, InferredConfig& out) {
  read_config(file, [&](const std::string& text) {
    const auto json = nlohmann::ordered_json::parse(text);
    const Towers there = out.config.towers;
    out.config = model_config_from_json(json.contains("config") ? json["config"].dump() : text);
    out.config.towers = there;
  });
  out.notes = "everything: from " + file + '\n';
}

/// A configuration the user names, of whatever format it is.
void add_named(const std::string& file, InferredConfig& out) {
  const std::string text = read_file(file, kMaxConfigBytes);
  check_json("config: '" + file + '\'', text);
  const auto json = nlohmann::json::parse(text, nullptr, false);
  check(json.is_object(), "config: '", file, "' is no JSON object");
  if (json.contains("model_cfg") || json.contains("vision_cfg")) return add_open_clip(file, out);
  const bool whole_info = json.contains("config") && json.contains("parameters");
  if (whole_info || (json.contains("vision") && json.contains("text"))) return add_ours(file, out);
  add_hugging_face(file, out);
}

void add_activation_in_code(const BareWeights& weights, InferredConfig& out) {
  const auto activation = weights.activation_in_code();
  check(activation.has_value(),
        "nothing tells which activation it was trained with; give --config, or --activation "
        "quick_gelu (OpenAI's weights, MetaCLIP, DFN, open_clip's *-quickgelu) or --activation "
        "gelu (open_clip's others)");
  out.config.set_activation(*activation);
  out.notes +=
      std::string("activation ") + nn::name(*activation) + ": from the code in the archive\n";
}

void add_openai_rest(const BareWeights& weights, const LoadOptions& options, InferredConfig& out) {
  check(!out.config.has_image() || !out.config.vit() || out.config.vit()->pre_norm,
        "there is no visual.ln_pre, so it is not OpenAI's architecture, and nothing tells what it "
        "pools; give its configuration with --config");
  out.notes += describe_assumed(out.config);
  if (!options.activation) add_activation_in_code(weights, out);
}

void set_heads(const char* flag, int64_t given, bool configured, int64_t width, int64_t& heads) {
  if (given == 0) return;
  check(!configured || given == heads, "the configuration says ", heads, " heads, ", flag, " says ",
        given);
  check(width % given == 0, flag, ": ", given, " heads do not divide the width, ", width);
  heads = given;
}

void set_heads(const LoadOptions& options, bool configured, ModelConfig& c) {
  check((c.has_text() || options.text_heads == 0) && (c.has_image() || options.vision_heads == 0),
        "the file has one tower alone; leave out the heads of the other");
  set_heads("--text-heads", options.text_heads, configured, c.text.transformer.width,
            c.text.transformer.heads);
  if (c.vit())
    set_heads("--vision-heads", options.vision_heads, configured, c.vit()->transformer.width,
              c.vit()->transformer.heads);
  else
    set_heads("--vision-heads", options.vision_heads, configured, c.resnet()->features(),
              std::get<nn::ResNetConfig>(c.vision).heads);
}

}  // namespace

InferredConfig choose_config(const BareWeights& weights, const LoadOptions& options) {
  InferredConfig out = infer_config(weights.tensors);
  const std::string found =
      beside(weights.path, weights.hugging_face ? "config.json" : "open_clip_config.json");
  const bool configured = !options.config.empty() || !found.empty();
  if (!options.config.empty())
    add_named(options.config, out);
  else if (found.empty())
    add_openai_rest(weights, options, out);
  else if (weights.hugging_face)
    add_hugging_face(found, out);
  else
    add_open_clip(found, out);
  set_heads(options, configured, out.config);
  check_heads(out.config);
  return out;
}

}  // namespace diptych
