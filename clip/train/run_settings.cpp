// clip/train/run_settings.cpp — every setting of a run, sorted into those that decide its result
// and the others.
#include "clip/train/run_settings.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "clip/train/params_file.h"
#include "clip/version.h"
#include "tensor/io/file.h"
#include "tensor/io/json.h"
#include "tensor/io/sha256.h"

namespace diptych {
namespace {

using Json = nlohmann::ordered_json;

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
  const auto& [max_pixels] = limits;
  out.fixed["max_image_pixels"] = max_pixels;
}

void sort(const nn::OptimizerConfig& config, Sorted& out) {
  // The last three follow from precision and seed.
  const auto& [beta1, beta2, eps, weight_decay, momentum, half_moments, stochastic, seed] = config;
  out.fixed["beta1"] = beta1;
  out.fixed["beta2"] = beta2;
  out.fixed["eps"] = eps;
  out.fixed["wd"] = weight_decay;
  out.fixed["momentum"] = momentum;
}

// A run may go on in another precision: then that is told.
void sort(const PrecisionConfig& config, Sorted& out) {
  const auto& [precision, adam_stats, text_weights, round_to_nearest] = config;
  out.free["precision"] = name(precision);
  out.free["adam_stats"] = name(adam_stats);
  out.free["text_weights"] = name(text_weights);
  out.free["rounding"] = round_to_nearest ? "nearest" : "stochastic";
}

void sort(const ScheduleConfig& config, Sorted& out) {
  const auto& [name, cooldown_epochs, cooldown_power, cooldown_end] = config;
  out.fixed["lr_scheduler"] = name;
  out.fixed["epochs_cooldown"] = cooldown_epochs;
  out.fixed["lr_cooldown_power"] = cooldown_power;
  out.fixed["lr_cooldown_end"] = cooldown_end;
}

void sort(const TuningConfig& config, Sorted& out) {
  const auto& [lock_image, lock_text, unlocked_groups, image_rate, text_rate, layer_decay] = config;
  out.fixed["lock_image"] = lock_image;
  out.fixed["lock_text"] = lock_text;
  out.fixed["lock_image_unlocked_groups"] = unlocked_groups;
  out.fixed["image_rate"] = image_rate;
  out.fixed["text_rate"] = text_rate;
  out.fixed["layer_decay"] = layer_decay;
}

void sort(const TrainConfig& config, Sorted& out) {
  const auto& [batch_size, accum_freq, grad_checkpointing, positives, loss_tile, epochs, max_steps,
               lr, warmup, schedule, optimizer_name, optimizer, tuning, precision, grad_clip_norm,
               dropout, patch_dropout, ema_decay, device, seed, workers, log_every, save_every,
               val_every, keep, on_nan, max_bad_fraction, left_out] = config;
  out.fixed["batch_size"] = batch_size;
  out.fixed["accum_freq"] = accum_freq;  // sums are of other numbers
  out.free["grad_checkpointing"] = grad_checkpointing;
  out.fixed["positives"] = name(positives);
  out.fixed["loss_tile"] = loss_tile;
  out.fixed["epochs"] = epochs;
  out.fixed["max_steps"] = max_steps;
  out.fixed["lr"] = lr;
  out.fixed["warmup"] = warmup;
  sort(schedule, out);
  out.fixed["optimizer"] = optimizer_name;
  sort(optimizer, out);
  sort(tuning, out);
  sort(precision, out);
  out.fixed["grad_clip_norm"] = grad_clip_norm > 0 ? Json(grad_clip_norm) : Json();  // null: none
  out.fixed["dropout"] = dropout;
  out.fixed["patch_dropout"] = patch_dropout;
  out.fixed["ema_decay"] = ema_decay;
  out.fixed["device"] = name(device);  // others round differently
  out.fixed["seed"] = seed;
  out.free["workers"] = workers;
  out.free["log_every_n_steps"] = log_every;
  out.free["save_frequency"] = save_every;
  out.free["val_frequency"] = val_every;
  out.free["keep"] = keep;
  out.free["on_nan"] = name(on_nan);
  out.free["max_bad_fraction"] = max_bad_fraction;
  out.free["left_out"] = left_out;
}

Sorted sorted(const RunSettings& settings) {
  const auto& [train_data, val_data, pretrained_from, vocabulary_file, flags, report_to, pairs,
               pictures, captions, vocabulary, pretrained, columns, limits, train, model] =
      settings;
  Sorted out;
  out.free[kVersionKey] = kVersion;
  out.free["train_data"] = train_data;
  out.free["vocab"] = vocabulary_file.empty() ? "learned from the captions" : vocabulary_file;
  if (!val_data.empty()) out.free["val_data"] = val_data;
  if (!pretrained_from.empty()) out.free["pretrained_from"] = pretrained_from;
  out.free[kFlagsKey] = flags;
  out.free["report_to"] = report_to;
  sort(columns, out);
  out.fixed["pairs"] = pairs;
  out.fixed["pictures"] = pictures;
  out.fixed["captions"] = captions;
  out.fixed["vocabulary"] = vocabulary;
  if (!pretrained.empty())
    out.fixed[kPretrainedKey] = pretrained;  // of before there was such: none
  sort(limits, out);
  sort(train, out);
  out.fixed["model"] = Json::parse(to_json(model));
  return out;
}

// Of settings that runs of before there were such do not tell: they had these.
Json defaults_of_later() {
  Sorted out;
  sort(ScheduleConfig{}, out);
  sort(TuningConfig{}, out);
  out.fixed["optimizer"] = TrainConfig{}.optimizer_name;
  out.fixed["momentum"] = nn::OptimizerConfig{}.momentum;
  out.fixed["accum_freq"] = TrainConfig{}.accum_freq;
  out.fixed["positives"] = name(TrainConfig{}.positives);
  out.fixed["loss_tile"] = TrainConfig{}.loss_tile;
  out.fixed["dropout"] = out.fixed["patch_dropout"] = out.fixed["ema_decay"] = 0.0;
  return out.fixed;
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
  const bool length = key == "epochs" || key == "max_steps" || key == "lr" || key == "warmup" ||
                      key == "lr_scheduler" || key == "epochs_cooldown";
  fail("resume: ", key, " was ", was, ", now it is ", is,
       key == "pairs" ? other_data
       : length
           ? "; a run ends as it was begun: to go on for longer or at another rate, begin a new "
             "one with --pretrained and the folder of this one"
           : "; leave the flag out, --resume has those of the run");
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
  Json fixed = sorted(settings).fixed;
  const Json later = defaults_of_later();
  for (const auto& [key, value] : later.items())
    if (fixed.at(key) == value) fixed.erase(key);
  return sha256(fixed.dump(-1, ' ', false, Json::error_handler_t::replace));
}

std::string fingerprint_of(const std::vector<NamedTensor>& weights) {
  Sha256 hash;
  for (const NamedTensor& weight : weights) {
    const Tensor values = weight.tensor.to(Device::cpu).contiguous();
    hash.add(weight.name.data(), static_cast<int64_t>(weight.name.size()));
    hash.add(values.raw(), values.numel() * size_of(values.dtype()));
  }
  return hash.hex();
}

void check_same_run(const RunParams& begun, const RunSettings& now) {
  Json before = Json::parse(begun.text);
  before.erase(kFree);
  Json all = defaults_of_later();
  all.update(before);
  // As it is in a file: text that is not UTF-8 was replaced there.
  Json current = Json::parse(to_json(now));
  current.erase(kFree);
  check_same(all.flatten(), current.flatten());
}

}  // namespace diptych
