// clip/cli/info_device.cpp — `diptych info --device`: a training step on paper.
#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "clip/cli/info.h"
#include "clip/console.h"

namespace diptych::cli {
namespace {

using Json = nlohmann::ordered_json;

/// What is asked for, and what comes out of it.
struct Paper {
  const PaperDevice& device;
  const PaperBatch& batch;

  double peak() const { return device.peak_of(batch.precision); }
  double pairs_per_second(const PaperStep& step) const {
    return static_cast<double>(batch.pairs) / step.total().seconds;
  }
};

Json to_json(const PaperWork& work) {
  return {{"launches", work.launches},
          {"tflop", work.flops / 1e12},
          {"gb", work.bytes / 1e9},
          {"ms", 1e3 * work.seconds}};
}

Json to_json(const Paper& paper, const PaperStep& step) {
  Json line = to_json(step.total());
  line["share_of_peak"] = step.share_of(paper.peak());
  line["pairs_per_second"] = paper.pairs_per_second(step);
  return line;
}

Json families_json(const PaperStep& step) {
  Json families = Json::array();
  for (size_t i = 0; i < kFamilies; ++i) {
    Json line{{"family", name(static_cast<Family>(i))}};
    line.update(to_json(step.families[i]));
    line["share"] = step.families[i].seconds / step.total().seconds;
    families.push_back(line);
  }
  return families;
}

Json stages_json(const Paper& paper, const std::vector<PaperStage>& stages) {
  Json lines = Json::array();
  for (const PaperStage& stage : stages) {
    Json line{{"fusion", stage.fusion}, {"built", stage.built}};
    line.update(to_json(paper, stage.step));
    lines.push_back(line);
  }
  return lines;
}

Json report(const Paper& paper, const std::string& model, const std::vector<PaperStage>& stages,
            const PaperStep& as_written) {
  const PaperStep& built = built_stage(stages).step;
  return {{"model", model},
          {"device", paper.device.name},
          {"batch_size", paper.batch.pairs},
          {"text_length", paper.batch.tokens},
          {"precision", name(paper.batch.precision)},
          {"assumptions", paper_assumptions(paper.device, paper.batch.precision)},
          {"model_tflop", built.model_flops / 1e12},
          {"built", to_json(paper, built)},
          {"families", families_json(built)},
          {"fusions", stages_json(paper, stages)},
          {"as_written", to_json(paper, as_written)}};
}

void print_families(const PaperStep& step) {
  const double all = step.total().seconds;
  const auto line = [all](const char* what, const PaperWork& w) {
    print(fmt::format("  {:<28}{:>9}{:>9.2f}{:>9.2f}{:>9.2f}{:>7.1f} %\n", what, w.launches,
                      w.flops / 1e12, w.bytes / 1e9, 1e3 * w.seconds, 100 * w.seconds / all));
  };
  print(fmt::format("  {:<28}{:>9}{:>9}{:>9}{:>9}{:>9}\n", "", "launches", "TFLOP", "GB", "ms",
                    "share"));
  for (size_t i = 0; i < kFamilies; ++i)
    if (step.families[i].launches > 0) line(name(static_cast<Family>(i)), step.families[i]);
  line("all", step.total());
}

void print_stages(const Paper& paper, const std::vector<PaperStage>& stages,
                  const PaperStep& as_written) {
  print(fmt::format("  {:<60}{:>10}{:>9}{:>8}{:>8}{:>10}\n", "", "", "ms", "gain", "peak",
                    "pairs/s"));
  double before = 0;
  const auto line = [&](const std::string& what, const char* built, const PaperStep& step) {
    const double ms = 1e3 * step.total().seconds;
    const std::string gain = before > 0 ? fmt::format("{:+.1f}", ms - before) : "";
    print(fmt::format("  {:<60}{:>10}{:>9.1f}{:>8}{:>6.1f} %{:>10.0f}\n", what, built, ms, gain,
                      100 * step.share_of(paper.peak()), paper.pairs_per_second(step)));
    before = ms;
  };
  for (const PaperStage& stage : stages)
    line(stage.fusion, before == 0 ? "" : stage.built ? "built" : "not built", stage.step);
  before = 0;
  line("what is built, as written: some kernels read operands again", "", as_written);
}

}  // namespace

void tell_step_on(const std::string& device_name, const std::string& model, const ModelConfig& c,
                  const PaperBatch& batch, bool json) {
  const PaperDevice& device = paper_device(device_name);
  const Paper paper{device, batch};
  const std::vector<PaperStage> stages = paper_stages(c, batch, device);
  const PaperStep as_written = step_as_written(c, batch, device);
  if (json) return print_json(report(paper, model, stages, as_written));
  const PaperStep& built = built_stage(stages).step;
  print(fmt::format("{}: a training step of {} pairs, {} tokens a caption, {}, on paper\n\n", model,
                    batch.pairs, batch.tokens, name(batch.precision)));
  print("assumed, not measured:\n");
  for (const std::string& line : paper_assumptions(device, batch.precision))
    print("  " + line + '\n');
  print("\nwith what is built:\n");
  print_families(built);
  print(fmt::format(
      "\n{:.2f} TFLOP belong to the model, {:.1f} % of {:g} TFLOP/s; scores of attention in the "
      "backward pass are computed again and do not count\n",
      built.model_flops / 1e12, 100 * built.share_of(paper.peak()), paper.peak() / 1e12));
  print("\nfusions, each beside those above it:\n");
  print_stages(paper, stages, as_written);
}

}  // namespace diptych::cli
