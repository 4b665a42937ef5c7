// clip/cli/step.cpp — `diptych step`: one forward and backward pass, dumped for comparison with any
// other implementation.
#include "clip/train/step.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "clip/cli/command.h"
#include "clip/console.h"
#include "clip/eval/zero_shot.h"
#include "clip/loss.h"
#include "clip/weights/logit_bias.h"
#include "data/text/captions.h"
#include "tensor/io/npy.h"
#include "tensor/io/safetensors.h"

namespace diptych::cli {
namespace {

struct Flags : ModelFlags {
  std::string pixels, tokens, dump;
  bool json = false;
  LockFlags locks;
  StepFlags step;
  std::string loss;
  std::optional<double> logit_bias;
};

// The model made for the loss that is asked for, with its own bias unless another is given.
void choose_loss(const Flags& flags, LoadedModel& loaded) {
  const Tensor own = loaded.model->logit_bias();
  const bool sigmoid = flags.loss.empty() ? own.defined() : flags.loss == "sigmoid";
  check_usage(sigmoid || !flags.logit_bias, "step: --logit-bias is of --loss sigmoid");
  if (sigmoid == own.defined() && !flags.logit_bias) return;
  std::optional<double> bias;
  if (sigmoid) bias = flags.logit_bias.value_or(kFirstLogitBias);
  loaded.model = with_logit_bias(*loaded.model, bias);
}

int run(const Flags& flags) {
  flags.locks.check();
  LoadedModel loaded = flags.open();
  choose_loss(flags, loaded);
  const Clip& model = *loaded.model;
  loaded.model->train();
  flags.locks.apply(*loaded.model);
  const Tensor pixels = load_npy(flags.pixels);
  const Captions captions = pack_padded(load_npy(flags.tokens), caption_end(model.config().text));
  check_finite(pixels);
  flags.step.check(captions.layout.count());
  loaded.model->set_checkpointing(flags.step.grad_checkpointing);
  const auto [loss, image, text] =
      forward_backward(model, pixels.to(model.device()), captions.to(model.device()),
                       {.accum_freq = flags.step.accum_freq});
  const Tensor logits = logits_per_image(image, text, model.logit_scale()).detach();

  std::vector<NamedTensor> dump{{"image_features", image},
                                {"text_features", text},
                                {"logits_per_image", logits},
                                {"loss", loss}};
  for (const auto& entry : model.named_parameters())
    if (needs_grad(entry.tensor)) dump.push_back({"grad." + entry.name, grad(entry.tensor)});
  for (const NamedTensor& one : dump)
    check_finite(reshape(one.tensor, {1, -1}), "step: " + one.name + ": row");
  save_safetensors(flags.dump, dump);
  if (flags.json)
    print_json(nlohmann::ordered_json{{"loss", loss.item()},
                                      {"pairs", image.dim(0)},
                                      {"tensors", dump.size()},
                                      {"dump", flags.dump}});
  else
    print(fmt::format("loss {:.6f} for {} pairs; {} tensors in {}\n", loss.item(), image.dim(0),
                      dump.size(), flags.dump));
  return 0;
}

void declare(Command command, Flags& flags) {
  flags.declare(command);
  command.required("--pixels", flags.pixels, ".npy (N, C, R, R) f32, already normalised")
      .required("--tokens", flags.tokens, ".npy (N, T) i64, padded with zeros")
      .required("--dump", flags.dump, ".safetensors file to write")
      .locks(flags.locks)
      .accumulation(flags.step)
      .choice("--loss", flags.loss, "softmax or sigmoid (default: what the model was made for)",
              {"softmax", "sigmoid"})
      .option("--logit-bias", flags.logit_bias,
              "with sigmoid (default: the model's, or -10 if it has none)")
      .json(flags.json)
      .threads();
}

}  // namespace

void add_step(Commands& commands) {
  commands.add("step", "one forward and backward pass; dump features, logits, loss and gradients",
               declare, run);
}

}  // namespace diptych::cli
