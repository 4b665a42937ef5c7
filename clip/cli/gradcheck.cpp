// clip/cli/gradcheck.cpp — `diptych gradcheck`: every operator and layer against central
// differences.
#include "autograd/gradcheck.h"

#include <fmt/core.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "autograd/op_table/table.h"
#include "clip/cli/command.h"
#include "clip/console.h"
#include "clip/loss.h"
#include "clip/spelling.h"
#include "clip/train/progress.h"
#include "nn/layer_table.h"

namespace diptych::cli {
namespace {

constexpr double kLimit =
    1e-6;  // f64: see autograd/gradcheck.h for the error of the difference itself

struct Flags : DeviceFlag {
  std::vector<std::string> names;
  bool json = false;
};

struct Row {
  std::string name, kind;
  GradcheckResult result;
};

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return text;
}

bool has_part(const std::string& name, const std::string& part) {
  return lower(name).find(lower(part)) != std::string::npos;
}

bool wanted(const Flags& flags, const std::string& name) {
  if (flags.names.empty()) return true;
  return std::any_of(flags.names.begin(), flags.names.end(),
                     [&](const std::string& part) { return has_part(name, part); });
}

constexpr const char* kLoss = "contrastive_loss";

// Before anything is computed: a name in which nothing has a part, and what it may have meant.
void check_names(const Flags& flags) {
  std::vector<std::string> known{kLoss};
  for (const OpCase& op : op_table()) known.push_back(op.name);
  for (const nn::LayerCase& layer : nn::layer_table(flags.device())) known.push_back(layer.name);
  for (const std::string& part : flags.names) {
    const bool found = std::any_of(known.begin(), known.end(),
                                   [&](const std::string& name) { return has_part(name, part); });
    if (found) continue;
    std::vector<std::string> lowered;
    for (const std::string& name : known) lowered.push_back(lower(name));
    const auto at = std::find(lowered.begin(), lowered.end(), nearest(lower(part), lowered));
    const std::string guess =
        at == lowered.end() ? "" : known[static_cast<size_t>(at - lowered.begin())];
    fail("gradcheck: no operator or layer has '", part, "' in its name",
         guess.empty() ? "; without names all are checked and listed"
                       : "; did you mean " + guess + "?");
  }
}

// Rows of one operator count as one line: its worst.
std::vector<Row> check_operators(const Flags& flags) {
  std::vector<Row> rows;
  Progress progress("gradcheck", static_cast<int64_t>(op_table().size()), flags.json);
  int64_t done = 0;
  for (const OpCase& op : op_table()) {
    progress.update(done++);
    if (!wanted(flags, op.name)) continue;
    PhiloxStream rng(0, 1);
    Inputs inputs = op.inputs(rng);
    for (Tensor& x : inputs) x = x.to(flags.device());
    const GradcheckResult result = gradcheck(op.f, inputs);
    const auto it =
        std::find_if(rows.begin(), rows.end(), [&](const Row& row) { return row.name == op.name; });
    if (it == rows.end())
      rows.push_back({op.name, "operator", result});
    else if (result.worst > it->result.worst)
      it->result = result;
  }
  return rows;
}

void check_layers(const Flags& flags, std::vector<Row>& rows) {
  for (const nn::LayerCase& layer : nn::layer_table(flags.device())) {
    if (wanted(flags, layer.name))
      rows.push_back({layer.name, "layer", gradcheck(layer.f, layer.inputs)});
  }
  if (!wanted(flags, kLoss)) return;
  const Device device = flags.device();
  const std::vector<Tensor> inputs{randn({5, 4}, {3, 0}, DType::f64, device),
                                   randn({5, 4}, {3, 1}, DType::f64, device),
                                   full({}, 1.5, DType::f64, device)};
  rows.push_back(
      {kLoss, "loss",
       gradcheck(
           [](const std::vector<Tensor>& in) { return contrastive_loss(in[0], in[1], in[2]); },
           inputs)});
}

// Infinity is a finding here, and the exit code says so; JSON has no word for it.
nlohmann::ordered_json finding(double x) {
  return std::isfinite(x) ? nlohmann::ordered_json(x)
                          : nlohmann::ordered_json(fmt::format("{}", x));
}

int run(const Flags& flags) {
  flags.require();
  check_names(flags);
  std::vector<Row> rows = check_operators(flags);
  check_layers(flags, rows);
  int64_t failed = 0;
  nlohmann::ordered_json out = nlohmann::ordered_json::array();
  if (!flags.json)
    print(fmt::format("{:<9} {:<28} {:>12}  {:>14} {:>14}  {}\n", "", "", "worst error", "analytic",
                      "numeric", "where"));
  for (const auto& [name, kind, r] : rows) {
    const bool bad = !(r.worst <= kLimit);
    failed += bad;
    out.push_back(
        {{"name", name}, {"kind", kind}, {"worst", finding(r.worst)}, {"where", r.where}});
    if (!flags.json)
      print(fmt::format("{:<9} {:<28} {:>12.2e}  {:>14.6g} {:>14.6g}  {}{}\n", kind, name, r.worst,
                        r.analytic, r.numeric, r.where, bad ? "  FAILED" : ""));
  }
  if (flags.json)
    print_json(nlohmann::ordered_json{{"limit", kLimit}, {"failed", failed}, {"results", out}});
  else
    print(fmt::format("{} checked, {} above {:.0e}\n", rows.size(), failed, kLimit));
  return failed ? 1 : 0;
}

void declare(Command command, Flags& flags) {
  command
      .option("names", flags.names,
              "only operators and layers whose name contains one of these, in any case")
      .device(flags)
      .json(flags.json)
      .threads();
}

}  // namespace

void add_gradcheck(Commands& commands) {
  commands.add("gradcheck", "compare every derivative with central differences, in f64", declare,
               run);
}

}  // namespace diptych::cli
