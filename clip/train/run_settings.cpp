// clip/train/run_settings.cpp — every setting of a run, sorted into those that decide its result
// and the others.
#include "clip/train/run_settings.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "clip/version.h"
#include "tensor/io/file.h"
#include "tensor/io/json.h"
#include "tensor/io/sha256.h"

namespace diptych {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char *kFree = "may_change", *kVersionKey = "diptych";

struct Sorted {
  Json fixed = Json::object(), free = Json::object();
};

// The structures are taken apart by name, so that a new member does not compile before it stands
// on one of the two sides.

void sort(const PairOptions& options, Sorted& out) {
  const auto& [separator, image_key, caption_key] = options;
  out.fixed["csv_img_key"] = image_key;
  out.fixed["csv_caption_key"] = caption_key;
  out.fixed["csv_separator"] = std::string(1, separator);
}

void sort(const ImageLimits& limits, Sorted& out) {
  const auto& [max_pixels, max_bytes] = limits;
  out.fixed["max_image_pixels"] = max_pixels;
  out.fixed["max_image_bytes"] = max_bytes;
}

void sort(const nn::AdamWConfig& adamw, Sorted& out) {
  // The last three follow from precision and seed.
  const auto& [beta1, beta2, eps, weight_decay, half_moments, stochastic, seed] = adamw;
  out.fixed["beta1"] = beta1;
  out.fixed["beta2"] = beta2;
  out.fixed["eps"] = eps;
  out.fixed["wd"] = weight_decay;
}

// A run may go on in another precision: then that is told.
void sort(const PrecisionConfig& config, Sorted& out) {
  const auto& [precision, adam_stats, text_weights, round_to_nearest] = config;
  out.free["precision"] = name(precision);
  out.free["adam_stats"] = name(adam_stats);
  out.free["text_weights"] = name(text_weights);
  out.free["rounding"] = round_to_nearest ? "nearest" : "stochastic";
}

void sort(const TrainConfig& config, Sorted& out) {
  const auto& [batch_size, epochs, max_steps, lr, warmup, adamw, precision, grad_clip_norm, device,
               seed, workers, log_every, save_every, keep, on_nan, max_bad_fraction, left_out] =
      config;
  out.fixed["batch_size"] = batch_size;
  out.fixed["epochs"] = epochs;
  out.fixed["max_steps"] = max_steps;
  out.fixed["lr"] = lr;
  out.fixed["warmup"] = warmup;
  sort(adamw, out);
  sort(precision, out);
  out.fixed["grad_clip_norm"] = grad_clip_norm > 0 ? Json(grad_clip_norm) : Json();  // null: none
  out.fixed["device"] = name(device);  // others round differently
  out.fixed["seed"] = seed;
  out.free["workers"] = workers;
  out.free["log_every_n_steps"] = log_every;
  out.free["save_frequency"] = save_every;
  out.free["keep"] = keep;
  out.free["on_nan"] = name(on_nan);
  out.free["max_bad_fraction"] = max_bad_fraction;
  out.free["left_out"] = left_out;
}

Sorted sorted(const RunSettings& settings) {
  const auto& [train_data, vocabulary_file, pairs, pictures, captions, vocabulary, columns, limits,
               train, model] = settings;
  Sorted out;
  out.free[kVersionKey] = kVersion;
  out.free["train_data"] = train_data;
  out.free["vocab"] = vocabulary_file.empty() ? "learned from the captions" : vocabulary_file;
  sort(columns, out);
  out.fixed["pairs"] = pairs;
  out.fixed["pictures"] = pictures;
  out.fixed["captions"] = captions;
  out.fixed["vocabulary"] = vocabulary;
  sort(limits, out);
  sort(train, out);
  out.fixed["model"] = Json::parse(to_json(model));
  return out;
}

Json read_params(const std::string& path) {
  check(std::filesystem::is_regular_file(path), "resume: there is no '", path,
        "', which tells what the run was begun with; --resume goes on in the folder of the run");
  const std::string text = read_file(path, int64_t{1} << 20);
  check_json("resume: '" + path + "' is damaged", text);
  Json params = Json::parse(text, nullptr, false);
  check(params.is_object(), "resume: '", path, "' is damaged");
  check(params.contains(kFree), "resume: '", path,
        "' was written by an older version and does not tell what the run was trained on; begin a "
        "new run with another --name");
  return params;
}

/// "/model/text/width" → "model.text.width".
std::string key_of(std::string pointer) {
  std::replace(pointer.begin(), pointer.end(), '/', '.');
  return pointer.substr(1);
}

[[noreturn]] void refuse(const std::string& key, const std::string& was, const std::string& is) {
  const char* other_data =
      "; a run goes on with the data it was begun with, other data are for a "
      "new run with another --name";
  if (key == "pictures" || key == "captions" || key == "vocabulary")
    fail("resume: ", key, " changed: SHA-256 was ", was, ", now it is ", is, other_data);
  fail("resume: ", key, " was ", was, ", now it is ", is,
       key == "pairs" ? other_data : "; resume with the flags of the run that was begun");
}

void check_same(const Json& before, const Json& now) {
  const auto text = [](const Json& all, const std::string& key) {
    return all.contains(key) ? all.at(key).dump() : "not set";
  };
  Json keys = now;
  keys.update(before);
  for (const auto& [key, unused] : keys.items()) {
    const std::string was = text(before, key), is = text(now, key);
    if (was != is) refuse(key_of(key), was, is);
  }
}

}  // namespace

std::string fingerprint_of(const Texts& texts) {
  Sha256 hash;
  texts([&hash](std::string_view text) {
    const auto size = static_cast<int64_t>(text.size());
    hash.add(&size, sizeof size);
    hash.add(text.data(), size);
  });
  return hash.hex();
}

std::string fingerprint_of(const std::string& text) { return sha256(text); }

std::string to_json(const RunSettings& settings) {
  Sorted all = sorted(settings);
  all.fixed[kFree] = all.free;
  return all.fixed.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

std::string fingerprint(const RunSettings& settings) {
  return sha256(sorted(settings).fixed.dump(-1, ' ', false, Json::error_handler_t::replace));
}

void check_same_run(const std::string& path, const RunSettings& now) {
  Json before = read_params(path);
  before.erase(kFree);
  // As it is in a file: text that is not UTF-8 was replaced there.
  Json current = Json::parse(to_json(now));
  current.erase(kFree);
  check_same(before.flatten(), current.flatten());
}

PrecisionConfig precision_of_run(const std::string& path) {
  const Json params = read_params(path), &free = params.at(kFree);
  // The first name is that of runs of before there was a choice. Returns which it is.
  const auto chosen = [&](const char* key, const std::vector<std::string>& names) {
    const auto it = free.find(key);
    if (it == free.end()) return size_t{0};
    const auto found = std::find(names.begin(), names.end(), *it);
    check(found != names.end(), "resume: '", path, "': ", key, " is ", it->dump(),
          ", and there is none of that name");
    return static_cast<size_t>(found - names.begin());
  };
  constexpr DType kTypes[] = {DType::f32, DType::f16, DType::bf16};
  const PrecisionConfig c{precision_from(precision_names()[chosen("precision", precision_names())]),
                          kTypes[chosen("adam_stats", {"f32", "f16"})],
                          kTypes[chosen("text_weights", {"f32", "f16", "bf16"})],
                          chosen("rounding", {"stochastic", "nearest"}) == 1};
  check(is_consistent(c), "resume: '", path, "': precision is ", name(c.precision),
        ", which text_weights ", name(c.text_weights), " contradict");
  return c;
}

std::string version_of_run(const std::string& path) {
  const Json params = read_params(path);
  const auto version = params.at(kFree).find(kVersionKey);
  return version != params.at(kFree).end() && version->is_string() ? version->get<std::string>()
                                                                   : "";
}

}  // namespace diptych
