// clip/train/checkpoint.cpp — temporary folder, manifest, rename; newest intact one wins.
#include "clip/train/checkpoint.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "clip/weights/model_file.h"
#include "clip/weights/run_folder.h"
#include "tensor/factory.h"
#include "tensor/finite.h"
#include "tensor/io/file.h"

namespace diptych {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char *kBadSamples = "bad_samples", *kNearest = "nearest", *kByChance = "stochastic";

// A rename is on disk once its folder is. Some file systems cannot and say EINVAL.
void sync_folder(const fs::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool done = fd >= 0 && (::fsync(fd) == 0 || errno == EINVAL);
  const int reason = errno;
  if (fd >= 0) ::close(fd);
  check(done, "'", folder.string(), "' cannot be flushed to the disk: ", std::strerror(reason));
}

std::string first_not_finite(const std::vector<NamedTensor>& tensors) {
  const auto it = std::find_if(tensors.begin(), tensors.end(),
                               [](const NamedTensor& t) { return !all_finite(t.tensor); });
  return it == tensors.end() ? "" : it->name;
}

void check_finite(const Clip& model, const nn::Optimizer& optimizer) {
  const std::string name = first_not_finite(model, optimizer);
  check(name.empty(), name,
        " holds values that are not finite; a lower --lr, a longer --warmup or --grad-clip-norm 1 "
        "may help");
}

bool is_one_of(const std::string& name, const std::vector<std::string>& names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Tensor as_bytes(const std::string& text) {
  return from_vector<uint8_t>({text.begin(), text.end()}, {static_cast<int64_t>(text.size())});
}

void save_training(const std::string& path, const nn::Optimizer& optimizer,
                   const TrainingState& state) {
  Json position{{"step", state.step},           {"epoch", state.epoch},
                {"batch", state.batch},         {"samples", state.samples},
                {"truncated", state.truncated}, {"skipped", state.skipped},
                {"precision", state.precision}, {"adamw_steps", optimizer.steps()}};
  position["window"] = {state.window_loss, state.window_steps};
  if (state.validated_step >= 0)
    position["validation"] = {state.validated_step, state.best_step, state.best_score};
  position["rounding"] = state.round_to_nearest ? kNearest : kByChance;
  if (state.scaler) position["loss_scale"] = state.scaler->scale;
  std::vector<NamedTensor> tensors = optimizer.state();
  // Not metadata: there is no limit to how many samples may be bad.
  if (!state.bad_samples.empty()) tensors.push_back({kBadSamples, as_bytes(state.bad_samples)});
  save_safetensors(path, tensors, {{"position", position.dump()}, {"settings", state.settings}});
}

const std::string& metadata_value(const SafeTensors& file, const std::string& key,
                                  const std::string& path) {
  const auto it = file.metadata.find(key);
  check(it != file.metadata.end(), "resume: '", path, "' has no ", key,
        "; was it written by another version?");
  return it->second;
}

int64_t count(const Json& position, const char* key, const std::string& path) {
  const auto it = position.find(key);
  check(it != position.end() && it->is_number_unsigned(), "resume: '", path, "': ", key,
        " is missing or no count; was it written by another version?");
  return it->get<int64_t>();
}

void read_rounding(Checkpoint& c, const Json& position, const std::string& path) {
  const auto it = position.find("rounding");
  if (it == position.end()) return;  // of before there was a choice
  check(*it == kNearest || *it == kByChance, "resume: '", path, "': rounding is ", it->dump(),
        ", and there is none of that name; resume from another checkpoint");
  c.state.round_to_nearest = *it == kNearest;
}

// Runs of before there were precisions are of fp32.
void read_precision(Checkpoint& c, const Json& position, const std::string& path) {
  c.state.skipped = position.contains("skipped") ? count(position, "skipped", path) : 0;
  const auto precision = position.find("precision"), scale = position.find("loss_scale");
  if (precision == position.end()) return;
  c.state.precision = precision->is_string() ? precision->get<std::string>() : "";
  check(is_one_of(c.state.precision, precision_names()), "resume: '", path, "': precision is ",
        precision->dump(), ", and there is none of that name; resume from another checkpoint");
  if (precision_from(c.state.precision) != Precision::amp_fp16) return;
  const bool there = scale != position.end() && scale->is_number();
  const nn::GradScaler scaler{there ? scale->get<double>() : 0};
  check(scaler.is_possible(), "resume: '", path, "' is of a run in amp_fp16 and has ",
        there ? "a damaged" : "no", " loss_scale, without which its gradients would overflow or ",
        "vanish; resume from another checkpoint");
  c.state.scaler = scaler;
}

// Of before there were such, or without validation: nothing.
void read_progress(Checkpoint& c, const Json& position, const std::string& path) {
  const auto numbers = [&](const char* key, size_t n) -> std::vector<double> {
    const auto it = position.find(key);
    if (it == position.end()) return {};
    const bool good =
        it->is_array() && it->size() == n &&
        std::all_of(it->begin(), it->end(), [](const Json& x) { return x.is_number(); });
    check(good, "resume: '", path, "': ", key, " is damaged; resume from another checkpoint");
    return it->get<std::vector<double>>();
  };
  if (const auto window = numbers("window", 2); !window.empty()) {
    c.state.window_loss = window[0];
    c.state.window_steps = static_cast<int64_t>(window[1]);
  }
  if (const auto validation = numbers("validation", 3); !validation.empty()) {
    c.state.validated_step = static_cast<int64_t>(validation[0]);
    c.state.best_step = static_cast<int64_t>(validation[1]);
    c.state.best_score = validation[2];
  }
}

void read_position(Checkpoint& c, const std::string& path) {
  const Json position = Json::parse(metadata_value(c.training, "position", path), nullptr, false);
  check(position.is_object(), "resume: '", path, "' has a damaged position");
  const auto read = [&](const char* key) { return count(position, key, path); };
  c.state.step = read("step");
  c.state.epoch = read("epoch");
  c.state.batch = read("batch");
  c.state.samples = read("samples");
  c.state.truncated = read("truncated");
  read_progress(c, position, path);
  read_precision(c, position, path);
  read_rounding(c, position, path);
  c.state.settings = metadata_value(c.training, "settings", path);
  c.optimizer_steps = read("adamw_steps");
  if (const Tensor* bad = c.training.find(kBadSamples)) {
    const std::vector<uint8_t> bytes = bad->to_vector<uint8_t>();
    c.state.bad_samples.assign(bytes.begin(), bytes.end());
  }
}

void write_checkpoint(const fs::path& building, const Clip& model, const Tokenizer& tokenizer,
                      const nn::Optimizer& optimizer, const TrainingState& state,
                      const nn::Ema* ema) {
  fs::remove_all(building);
  fs::create_directories(building);
  save_model(building / kModelFile, model, &tokenizer);
  save_training(building / kTrainingFile, optimizer, state);
  if (ema) save_model(building / kEmaFile, model, ema->state(), &tokenizer);
  write_manifest(building);
}

}  // namespace

std::string first_not_finite(const Clip& model, const nn::Optimizer& optimizer) {
  const std::string name = first_not_finite(model.state_dict());
  return name.empty() ? first_not_finite(optimizer.state()) : name;
}

std::string save_checkpoint(const std::string& run, const Clip& model, const Tokenizer& tokenizer,
                            const nn::Optimizer& optimizer, const TrainingState& state, int keep,
                            const nn::Ema* ema) {
  const std::string target = checkpoint_path(run, state.step), building = target + ".tmp";
  const std::string what = fmt::format("checkpoint: step {} of '{}' ", state.step, run);
  try {
    check_finite(model, optimizer);
    write_checkpoint(building, model, tokenizer, optimizer, state, ema);
    put_checkpoint(building, target);
  } catch (const std::exception& error) {
    std::error_code ignored;
    fs::remove_all(building, ignored);
    fail(what, "was not saved, earlier checkpoints are unchanged: ", error.what());
  }
  try {
    sync_folder(fs::path(target).parent_path());
    sync_folder(run);
  } catch (const std::exception& error) {
    fail(what, "is written and may not outlive a power failure, earlier checkpoints stay: ",
         error.what());
  }
  const std::string best = state.best_step < 0 ? "" : checkpoint_path(run, state.best_step);
  return rotate_checkpoints(run, target, std::max(keep, 1), best);
}

Tokenizer Checkpoint::tokenizer() const {
  return Tokenizer::from_merges(metadata_value(model, "vocabulary", folder + '/' + kModelFile));
}

PrecisionConfig Checkpoint::precision() const {
  const Tensor *text = model.find("token_embedding.weight"),
               *moment = training.find("m.logit_scale");
  PrecisionConfig c;
  if (!state.precision.empty()) c.precision = precision_from(state.precision);
  if (moment && moment->dtype() == DType::f16) c.adam_stats = DType::f16;
  if (text) c.text_weights = text->dtype();
  c.round_to_nearest = state.round_to_nearest;
  return c;
}

Checkpoint read_checkpoint(const std::string& folder) {
  verify_checkpoint(folder);
  Checkpoint c;
  c.folder = folder;
  c.model = load_safetensors(folder + '/' + kModelFile);
  c.training = load_safetensors(folder + '/' + kTrainingFile);
  if (const std::string ema = folder + '/' + kEmaFile; is_there(ema)) c.ema = load_safetensors(ema);
  read_position(c, folder + '/' + kTrainingFile);
  const auto named = step_of_checkpoint(folder);
  check(!named || *named == c.state.step, "resume: '", folder, "' holds step ", c.state.step,
        "; give the folder its name, or resume from another");
  return c;
}

TrainingState restore(const Checkpoint& c, Clip& model, nn::Optimizer& optimizer, nn::Ema* ema) {
  const std::string path = c.folder + '/' + kModelFile;
  check(metadata_value(c.model, "config", path) == to_json(model.config()), "resume: '", path,
        "' is of another model (see `diptych info`); resume with the --model of the run");
  check(!ema || c.ema, "resume: '", c.folder, "' has no ", kEmaFile,
        ", and this run keeps an average");
  try {
    model.load_state(c.model.tensors);
    if (ema) ema->load_state(c.ema->tensors);
    optimizer.load_state(c.training.tensors, c.optimizer_steps);
    check_finite(model, optimizer);
  } catch (const Error& error) {
    fail("resume: '", c.folder, "': ", error.what());
  }
  return c.state;
}

}  // namespace diptych
