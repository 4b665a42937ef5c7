// clip/cli/loss.cpp — `diptych loss`: the loss of given features and its gradients, tile by tile.
#include "clip/loss.h"

#include <fmt/core.h>

#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "clip/cli/command.h"
#include "clip/cli/loss_tiles.h"
#include "clip/console.h"
#include "clip/eval/encode.h"
#include "tensor/io/machine.h"
#include "tensor/io/npy.h"
#include "tensor/io/safetensors.h"

namespace diptych::cli {
namespace {

struct Flags : DeviceFlag {
  std::string image, text, labels, dump, kind = "softmax";
  std::optional<double> scale, bias;
  int64_t tile = kLossTile;
  bool explain = false, json = false;

  bool sigmoid() const { return kind == "sigmoid"; }
};

/// Throws Error naming the first row of length zero, which has no direction, or of one that
/// l2_normalize() cannot square.
void check_lengths(const Tensor& rows, const std::string& path) {
  const std::vector<double> most = max(abs(rows), 1).to_vector<double>();
  for (size_t i = 0; i < most.size(); ++i) {
    check(most[i] > 0, "loss: '", path, "': row ", i, " has length zero, so it has no direction");
    check(most[i] > 1e-12 && most[i] < 1e17, "loss: '", path, "': the largest value of row ", i,
          " is ", most[i], ", and squares of less than 1e-12 or more than 1e17 are lost; scale it");
  }
}

Tensor load_features(const std::string& path) {
  const Tensor x = load_npy(path);
  check(x.dtype() == DType::f32 || x.dtype() == DType::f64, "loss: '", path, "' is ", x.dtype(),
        ", and features must be f32 or f64");
  check(x.rank() == 2 && x.dim(0) > 0 && x.dim(1) > 0, "loss: '", path, "' is ", x.shape(),
        ", and features are (N, D), neither 0");
  check_finite(x, "loss: '" + path + "': row");
  check_lengths(x, path);
  return x.contiguous();
}

struct Operands {
  Tensor image, text, scale, bias;
  LossOptions options;
};

void check_fit(const Flags& f, const Operands& in) {
  check(in.image.shape() == in.text.shape(), "loss: '", f.image, "' is ", in.image.shape(), ", '",
        f.text, "' is ", in.text.shape(), ": N and D must agree, a text for each picture");
  check(in.image.dtype() == in.text.dtype(), "loss: '", f.image, "' is ", in.image.dtype(), ", '",
        f.text, "' is ", in.text.dtype(), ": convert one of them");
  check(in.image.dim(0) > 1,
        "loss: one pair alone has nothing to be told from; N must be 2 or more");
  const Tensor& label = in.options.label;
  check(
      !label.defined() || (label.dtype() == DType::i64 && label.shape() == Shape{in.image.dim(0)}),
      "loss: '", f.labels, "' is ", label.defined() ? label.dtype() : DType::i64, ' ',
      label.defined() ? label.shape() : Shape{}, ", and labels are i64 (", in.image.dim(0), ")");
}

/// Of features and gradients, twice each, and a tile with its rows.
void check_memory(const Flags& f, const Tensor& x) {
  const int64_t N = x.dim(0), D = x.dim(1), T = std::min(f.tile, N);
  const auto numbers =
      static_cast<double>(8 * N * D) + static_cast<double>(T) * static_cast<double>(T + D);
  const double bytes = numbers * static_cast<double>(size_of(x.dtype())),
               there = static_cast<double>(usable_memory());
  check(bytes <= there, "loss: ", N, " pairs in tiles of ", T, " take ", bytes / (1 << 30),
        " GiB, and ", there / (1 << 30), " are there; choose a smaller --tile");
}

Operands load(const Flags& f) {
  Operands in;
  in.image = load_features(f.image);
  in.text = load_features(f.text);
  in.options = {f.labels.empty() ? Tensor() : load_npy(f.labels).contiguous(), f.tile};
  check_fit(f, in);
  if (f.device() == Device::cpu) check_memory(f, in.image);
  in.image = in.image.to(f.device());
  in.text = in.text.to(f.device());
  in.scale = full({}, *f.scale, in.image.dtype(), f.device());
  if (f.bias) in.bias = full({}, *f.bias, in.image.dtype(), f.device());
  return in;
}

Tensor loss_of(const Operands& in) {
  const Tensor image = l2_normalize(in.image), text = l2_normalize(in.text);
  const auto& [label, tile] = in.options;
  if (!in.bias.defined()) return contrastive(image, text, in.scale, label, tile);
  return contrastive_sigmoid(image, text, in.scale, in.bias, label, tile);
}

/// The loss; with it, in the file that is asked for, its gradients.
Tensor differentiated(const Flags& f, const Operands& in) {
  if (f.dump.empty()) return loss_of(in);
  for (const Tensor& x : {in.image, in.text, in.scale, in.bias})
    if (x.defined()) track(x);
  const Tensor loss = loss_of(in);
  backward(loss);
  return loss.detach();
}

void save(const Flags& f, const Operands& in, const Tensor& loss) {
  if (f.dump.empty()) return;
  std::vector<NamedTensor> dump{{"loss", loss},
                                {"grad.image_features", grad(in.image)},
                                {"grad.text_features", grad(in.text)},
                                {"grad.logit_scale", grad(in.scale)}};
  if (in.bias.defined()) dump.push_back({"grad.logit_bias", grad(in.bias)});
  save_safetensors(f.dump, dump);
}

void check_flags(const Flags& f) {
  check_usage(f.sigmoid() == f.bias.has_value(),
              f.sigmoid() ? "loss: --loss sigmoid needs a --logit-bias, such as -10"
                          : "loss: --logit-bias is of --loss sigmoid");
  check_usage(f.scale.has_value(), "loss: needs --logit-scale, such as 14.3 or 100");
}

nlohmann::ordered_json described(const Flags& f, const Operands& in, double loss, double seconds) {
  nlohmann::ordered_json object{{"loss", loss},
                                {"kind", f.kind},
                                {"pairs", in.image.dim(0)},
                                {"width", in.image.dim(1)},
                                {"dtype", name(in.image.dtype())},
                                {"tile", std::min(f.tile, in.image.dim(0))},
                                {"backward", !f.dump.empty()},
                                {"seconds", seconds},
                                {"peak_rss_mib", peak_rss_mib()}};
  if (!f.dump.empty()) object["dump"] = f.dump;
  return object;
}

int run(const Flags& f) {
  check_flags(f);
  f.require();
  const Operands in = load(f);
  check_usage(!f.explain || in.image.dim(0) <= kMostExplained,
              "loss: --explain prints every logit: of at most ", kMostExplained, " pairs, not ",
              in.image.dim(0));
  const auto start = std::chrono::steady_clock::now();
  const Tensor loss = differentiated(f, in);
  const double value = loss.item();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  check(std::isfinite(value), "loss: the loss is ", value, "; --logit-scale ", *f.scale,
        " is too large");
  save(f, in, loss);
  if (f.explain)
    (f.json ? tell : print)(explain_tiles(in.image, in.text, in.scale, in.bias, in.options));
  if (f.json)
    print_json(described(f, in, value, took.count()));
  else
    print(fmt::format("loss {:.9g} of {} pairs, {}{}; {:.3f} s, {} MiB at most\n", value,
                      in.image.dim(0), f.kind, f.dump.empty() ? "" : "; gradients in " + f.dump,
                      took.count(), peak_rss_mib()));
  return 0;
}

void declare(Command command, Flags& f) {
  command
      .required("--image-features", f.image,
                ".npy (N, D) f32 or f64, of any length: they are normalised here")
      .required("--text-features", f.text, "the same for the text of each picture")
      .option("--logit-scale", f.scale,
              "needed: the factor s of the cosines itself, such as 14.3 or 100", {1e-6, 1e6})
      .choice("--loss", f.kind, "softmax: over rows and columns; sigmoid: of each pair by itself",
              {"softmax", "sigmoid"})
      .option("--logit-bias", f.bias, "with sigmoid: what is added to logits, such as -10")
      .option("--labels", f.labels,
              ".npy (N) i64: pairs with equal labels are right for each other (default: each for "
              "itself)")
      .option(
          "--tile", f.tile,
          "rows and columns of logits in memory at a time; the result depends on it in the last "
          "bits alone",
          kAtLeastOne)
      .option("--dump", f.dump,
              ".safetensors file to write: loss, grad.image_features, grad.text_features, "
              "grad.logit_scale (by s), grad.logit_bias; without it no gradient is computed")
      .flag("--explain", f.explain, "for N of at most 8: the tiles and the sums that run over them")
      .device(f)
      .json(f.json)
      .threads();
}

}  // namespace

void add_loss(Commands& commands) {
  commands.add("loss", "the contrastive loss of features and its gradients, in memory O(N)",
               declare, run);
}

}  // namespace diptych::cli
