// tests/test_precision_types.cpp — mixed precision: what is kept in which type, as explain() says,
// and copies that are never out of date.
#include <doctest/doctest.h>

#include <cmath>
#include <set>
#include <sstream>

#include "autograd/ops.h"
#include "clip/loss.h"
#include "tests/precisions.h"
#include "tests/squares.h"

using namespace diptych;
using namespace diptych::test;

namespace {

/// A model in a precision, its optimizer, and steps for them.
struct Run {
  explicit Run(const PrecisionConfig& c, const ModelConfig& config = tiny_config())
      : precision(c), model(config), optimizer(prepared(), optimizer_config({}, c, 3)) {}

  const Clip& prepared() {
    model.initialize(3);
    model.use(precision);
    return model;
  }

  double scale() const { return precision.precision == Precision::amp_fp16 ? 1024 : 1; }

  Tensor backward(uint64_t batch) const {
    const RandomPairs pairs = random_pairs(model.config(), 8, batch);
    return accumulate_gradients(model, pairs.pixels, pairs.captions, {scale()});
  }

  void step(uint64_t batch) {
    backward(batch);
    optimizer.step(1e-3, nn::grad_squares(model), 0, scale());
    model.zero_grad();
  }

  PrecisionConfig precision;
  Clip model;
  nn::AdamW optimizer;
};

// The type that explain() gives on the line that begins like this.
std::string said(const PrecisionConfig& c, const std::string& what) {
  std::istringstream lines(explain(c));
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("  " + what)) {
      const size_t at = line.find_first_not_of(' ', 36);
      return line.substr(at, line.find(' ', at) - at);
    }
  return "no line";
}

std::string type_of(const Tensor& x) { return name(x.dtype()); }

bool is_text_table(const nn::Module::Entry& e) {
  return e.tensor.rank() >= 2 && !e.name.starts_with("visual.");
}

std::string row_of(const nn::Module::Entry& e) {
  if (!e.trained || e.name == "logit_scale") return "running statistics, temperature";
  if (is_text_table(e)) return "text tower's matrices";
  return contains(e.name, "ln_") || contains(e.name, "bn") ? "layer norm, batch norm: gains"
                                                           : "parameters";
}

// Rows of embeddings are converted after they are gathered, gains are read as they are.
bool is_read_by_products(const nn::Module::Entry& e) {
  return e.trained && e.name != "logit_scale" && e.name != "token_embedding.weight" &&
         e.name != "positional_embedding" && !contains(e.name, "ln_");
}

// On which line of explain() the result of an operator stands.
std::string row_of(const std::string& op, const Tensor& y) {
  const bool square = y.rank() == 2 && y.dim(0) == 8 && y.dim(1) == 8;  // (B, B)
  if (op == "cross_entropy" || op == "log_softmax" || square) return "cosines, logits, loss";
  if (op == "l2_normalize") return "features, normalisation";
  if (op == "layer_norm" || op == "batch_norm") return "layer norm, batch norm: rows";
  if (op == "attention" || op == "attention_pool") return "attention";
  if (op == "linear" || op == "linear_of" || op == "conv2d" || op == "matmul")
    return "products and convolutions";
  return op == "relu" || op == "gather_rows" ? "activations" : "";
}

}  // namespace

TEST_CASE("precision: parameters, gradients and moments have the types that explain() says") {
  ModelConfig resnet = preset("tiny-resnet");
  resnet.text = tiny_config().text;
  for (const PrecisionConfig& c : all_precisions()) {
    CAPTURE(label(c));
    for (const ModelConfig& config : {tiny_config(), resnet}) {
      Run run(c, config);
      run.step(1);
      run.backward(2);
      for (const auto& e : run.model.state()) {
        if (!is_float(e.tensor.dtype())) continue;  // how many batches the statistics are of
        CAPTURE(e.name);
        CHECK(type_of(e.tensor) == said(c, row_of(e)));
        if (e.trained) CHECK(type_of(grad(e.tensor)) == said(c, "gradients of parameters"));
      }
      for (const NamedTensor& moment : run.optimizer.state()) {
        CAPTURE(moment.name);
        const bool scale = contains(moment.name.substr(0, 8), "_scale.");
        CHECK(type_of(moment.tensor) == (scale ? "f32" : said(c, "moments of AdamW")));
      }
    }
  }
}

TEST_CASE("precision: what flows between layers has the types that explain() says") {
  for (const PrecisionConfig& c : all_precisions()) {
    CAPTURE(label(c));
    Run run(c);
    std::set<std::string> seen;
    const OpWatch watch([&](const std::string& op, const Tensor& y, bool backward) {
      const std::string row = row_of(op, y);
      if (row.empty() || backward) return;
      CAPTURE(op);
      CHECK(type_of(y) == said(c, row));
      seen.insert(row);
    });
    CHECK(run.backward(1).dtype() == DType::f32);
    CHECK(seen.size() == 6);
    const RandomPairs pairs = random_pairs(run.model.config(), 8, 1);
    CHECK(run.model.encode_image(pairs.pixels).dtype() == DType::f32);
    CHECK(run.model.encode_text(pairs.captions).dtype() == DType::f32);
  }
}

TEST_CASE("precision: a copy exists where it is narrower than the parameter, and nowhere else") {
  for (const PrecisionConfig& c : all_precisions()) {
    CAPTURE(label(c));
    Run run(c);
    run.step(1);
    bool any = false;
    for (const auto& e : run.model.named_parameters()) {
      CAPTURE(e.name);
      const DType compute = compute_dtype(c.precision);
      const bool narrower = size_of(compute) < size_of(e.tensor.dtype());
      CHECK(e.copy->tensor.defined() == (narrower && is_read_by_products(e)));
      if (e.copy->tensor.defined()) CHECK(e.copy->tensor.dtype() == compute);
      any |= e.copy->tensor.defined();
    }
    CHECK(any == contains(explain(c), "copies of the parameters in "));
  }
}

TEST_CASE("precision: the copy that AdamW writes is the parameter rounded to nearest") {
  for (const PrecisionConfig& c : all_precisions()) {
    CAPTURE(label(c));
    Run run(c);
    run.step(0);
    const void* memory = nullptr;
    for (uint64_t batch = 1; batch <= 3; ++batch) {
      run.step(batch);
      for (const auto& e : run.model.named_parameters()) {
        const Tensor& copy = e.copy->tensor;
        if (!copy.defined()) continue;
        CAPTURE(e.name);
        CHECK(e.copy->version == e.tensor.version());  // nobody has to make it anew
        CHECK(same_bits(copy, e.tensor.to(copy.dtype())));
        if (e.name != "visual.proj") continue;
        CHECK((memory == nullptr || memory == copy.raw()));
        memory = copy.raw();
      }
    }
  }
}

TEST_CASE("precision: a copy is not used after its parameter was loaded, written or moved") {
  const PrecisionConfig amp{Precision::amp_bf16};
  Run source(amp);
  for (uint64_t batch = 0; batch < 3; ++batch) source.step(batch);
  const RandomPairs pairs = random_pairs(source.model.config(), 8, 9);
  const auto features = [&](const Clip& model) {
    const NoGrad no_grad;
    return model.encode_image(pairs.pixels);
  };
  const Tensor expected = features(source.model);
  const auto check_follows = [&](const std::function<void(Clip&)>& change) {
    Run run(amp);
    run.step(5);
    REQUIRE_FALSE(same_bits(features(run.model), expected));
    change(run.model);
    CHECK(same_bits(features(run.model), expected));
  };
  check_follows([&](Clip& model) { model.load_state(source.model.state_dict()); });
  check_follows([&](Clip& model) {
    const auto from = source.model.state(), to = model.state();
    for (size_t i = 0; i < to.size(); ++i) Tensor(to[i].tensor).copy_(from[i].tensor);
  });
  check_follows([&](Clip& model) {
    model.to(DType::f64);
    model.to(DType::f32);
    model.load_state(source.model.state_dict());
    model.to(Device::cpu);
    for (const auto& e : model.named_parameters()) CHECK_FALSE(e.copy->tensor.defined());
  });
}

TEST_CASE("precision: a parameter of 16 bits collects gradients that are sums in f32") {
  for (const DType text : {DType::bf16, DType::f16}) {
    Run run({Precision::fp32, DType::f32, text});
    const auto parameters = run.model.parameters();
    const auto gradients = [&] {
      std::vector<Tensor> all;
      for (const Tensor& p : parameters) all.push_back(grad(p).clone());
      return all;
    };
    run.backward(1);
    const std::vector<Tensor> first = gradients();
    run.model.zero_grad();
    run.backward(2);
    const std::vector<Tensor> second = gradients();
    run.backward(1);
    const std::vector<Tensor> both = gradients();
    for (size_t i = 0; i < both.size(); ++i) {
      if (parameters[i].dtype() == text)
        CHECK_FALSE(same_bits(first[i], first[i].to(text).to(DType::f32)));
      const Tensor exact = first[i] + second[i];
      const Tensor error = abs(reshape(both[i] - exact, {-1})), size = abs(reshape(exact, {-1}));
      // A few roundings of f32, where 16 bits would make errors of 2^-9 and 2^-12.
      CHECK(max(error, 0).item() <= 1e-6 * max(size, 0).item());
    }
  }
}

TEST_CASE("precision: gradients of weights leave their products in f32") {
  for (const DType half : {DType::bf16, DType::f16}) {
    const Precision precision = half == DType::bf16 ? Precision::amp_bf16 : Precision::amp_fp16;
    for (const PrecisionConfig& c :
         {PrecisionConfig{precision}, PrecisionConfig{precision, DType::f32, half}}) {
      Run run(c);
      run.backward(1);
      for (const nn::Module::Entry& e : run.model.state()) {
        if (!is_read_by_products(e) || contains(e.name, "positional")) continue;
        CAPTURE(e.name);
        CHECK_FALSE(same_bits(grad(e.tensor), grad(e.tensor).to(half).to(DType::f32)));
      }
    }
  }
}

TEST_CASE(
    "precision: weights beyond f16 are refused by name, in every type that they are read in") {
  const auto refusal = [](const char* parameter, double value, const PrecisionConfig& c) {
    Clip model(tiny_config());
    model.initialize(1);
    for (auto& e : model.state())
      if (e.name == parameter) e.tensor.view({-1}).slice(0, 0, 1).fill_(value);
    const std::string error = error_of([&] { model.use(c); });
    if (error.empty()) CHECK(model.precision() == c);
    return error;
  };
  const PrecisionConfig amp{Precision::amp_fp16}, text{Precision::fp32, DType::f32, DType::f16};
  for (const double value : {65505.0, -70000.0, HUGE_VAL}) {
    CHECK(contains(refusal("visual.proj", value, amp), "precision: visual.proj holds "));
    CHECK(contains(refusal("text_projection", value, amp), "f16 ends at 65504; choose bf16"));
    CHECK(contains(refusal("text_projection", value, text), "precision: text_projection holds "));
  }
  for (const char* parameter : {"visual.proj", "text_projection"})
    CHECK(refusal(parameter, -65504, amp) == "");
  CHECK(refusal("visual.proj", 1e30, text) == "");
  CHECK(refusal("text_projection", 1e30, {Precision::pure_bf16}) == "");
  // The largest of f32 is not a bf16: it would become infinite.
  CHECK(contains(refusal("visual.proj", 3.4e38, {Precision::amp_bf16}), "precision: visual.proj"));
}
