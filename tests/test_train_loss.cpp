// tests/test_train_loss.cpp — losses by flags of `train` and `step`: what is told, kept and
// refused.
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "clip/loss.h"
#include "tensor/io/npy.h"
#include "tensor/io/safetensors.h"
#include "tests/program.h"

using namespace diptych;
using namespace diptych::test;

namespace {

nlohmann::json first_record(const TempDir& dir) {
  const std::string lines = get_file(dir / "run/metrics.jsonl");
  return nlohmann::json::parse(lines.substr(0, lines.find('\n')));
}

nlohmann::json params_of(const TempDir& dir) {
  return nlohmann::json::parse(get_file(dir / "run/params.json"));
}

}  // namespace

TEST_CASE("cli: train by the sigmoid loss has a bias, says what chance is, and goes on") {
  REQUIRE_BINARY();
  const TempDir dir;
  const std::string run = small_run(dir, 1);
  const Outcome r = diptych_run(run + "--loss sigmoid");
  CAPTURE(r.err);
  REQUIRE(r.exit_code == 0);
  CHECK(contains(r.err, "chance"));
  CHECK(!contains(r.err, "ln B"));
  const double B = first_record(dir)["samples"].get<double>();
  CHECK(first_record(dir)["chance_loss"].get<double>() ==
        doctest::Approx(std::log(B) + (B - 1) * std::log(B / (B - 1))).epsilon(1e-6));
  const LoadedModel model = load_model(dir / "run");
  REQUIRE(model.model->logit_bias().defined());
  CHECK(model.model->logit_bias().item() != kFirstLogitBias);

  const std::string again = "train --pretrained " + (dir / "run") + " --train-data " +
                            (dir / "t.tsv") + " --batch-size 4 --epochs 1 --logs " +
                            (dir / "more") + " --name again";
  CHECK(diptych_run(again).exit_code == 0);
  CHECK(load_model(dir / "more/again").model->logit_bias().defined());
  const Outcome other = diptych_run(again + "-other --loss softmax");
  CHECK(other.exit_code == 0);
  CHECK(contains(other.err, "made for the other loss: their bias is left out"));
  CHECK(!load_model(dir / "more/again-other").model->logit_bias().defined());
}

TEST_CASE(
    "cli: train keeps which pairs are right and how the loss is cut, and a resumed run has them") {
  REQUIRE_BINARY();
  const TempDir dir;
  const std::string run = small_run(dir, 1);
  REQUIRE(diptych_run(run + "--positives caption --tile 2").exit_code == 0);
  CHECK(params_of(dir)["positives"] == "caption");
  CHECK(params_of(dir)["loss_tile"] == 2);
  const Outcome other = diptych_run("train --resume " + (dir / "run") + " --tile 3");
  CHECK(other.exit_code == 1);
  CHECK(contains(other.err, "loss_tile was 2, now it is 3"));
  CHECK(diptych_run(run + "--tile 0").exit_code == 2);
  CHECK(diptych_run(run + "--positives both").exit_code == 2);
  const Outcome idle = diptych_run("train --preset fashion --positives key");
  CHECK(idle.exit_code == 2);
  CHECK(contains(idle.err, "--positives says nothing here: each picture of fashion has one"));
}

TEST_CASE("cli: train says how many pairs share a picture, and that none does") {
  REQUIRE_BINARY();
  const TempDir dir;
  const std::string run = small_run(dir, 1) + "--max-steps 1 --positives key";
  const Outcome none = diptych_run(run);
  CHECK(none.exit_code == 0);
  CHECK(
      contains(none.err, "0 of 8 pairs share their picture with another: --positives key changes"));
  std::filesystem::remove_all(dir / "run");
  put_file(dir / "t.tsv", get_file(dir / "t.tsv") + "p1.png\tanother\np1.png\tand another\n");
  const Outcome some = diptych_run(run);
  CHECK(some.exit_code == 0);
  CHECK(contains(some.err, "3 of 10 pairs share their picture with another\n"));
}

TEST_CASE("cli: step takes the sigmoid loss with a bias of its own or a given one") {
  REQUIRE_BINARY();
  const TempDir dir;
  const std::string model = saved_model(dir);
  const ModelConfig c = load_model(model).model->config();
  save_npy(dir / "x.npy", randn({3, c.channels(), c.image_size(), c.image_size()}, {1, 0}));
  save_npy(dir / "t.npy", from_vector<int64_t>({1, 5, 2, 1, 6, 2, 1, 7, 2}, {3, 3}));
  const std::string line = "step --model " + model + " --pixels " + (dir / "x.npy") + " --tokens " +
                           (dir / "t.npy") + " --dump " + (dir / "d.safetensors");
  const auto has_bias = [&] {
    for (const NamedTensor& t : load_safetensors(dir / "d.safetensors").tensors)
      if (t.name == "grad.logit_bias") return true;
    return false;
  };
  CHECK(diptych_run(line).exit_code == 0);
  CHECK(!has_bias());
  CHECK(diptych_run(line + " --loss sigmoid --logit-bias -3 --accum-freq 2").exit_code == 0);
  CHECK(has_bias());
  const Outcome r = diptych_run(line + " --logit-bias -3");
  CHECK(r.exit_code == 2);
  CHECK(contains(r.err, "--logit-bias is of --loss sigmoid"));
}
