// tests/test_cli_loss.cpp — `diptych loss`: NumPy's numbers, the tiles it explains, and what is
// refused.
#include <cmath>
#include <nlohmann/json.hpp>

#include "clip/loss.h"
#include "tensor/io/npy.h"
#include "tensor/io/safetensors.h"
#include "tests/program.h"

using namespace diptych;
using namespace diptych::test;

namespace {

struct Files {
  TempDir dir;
  std::string line(const std::string& flags) const {
    return "loss --image-features " + (dir / "i.npy") + " --text-features " + (dir / "t.npy") +
           ' ' + flags;
  }
};

void put_features(const Files& files, int64_t N, DType dtype = DType::f64) {
  save_npy(files.dir / "i.npy", randn({N, 6}, {3, 0}, dtype));
  save_npy(files.dir / "t.npy", randn({N, 6}, {3, 1}, dtype));
}

Tensor entry(const std::string& path, const std::string& name) {
  for (const NamedTensor& t : load_safetensors(path).tensors)
    if (t.name == name) return t.tensor;
  fail("test: no ", name, " in ", path);
}

// By finite differences of the plain loss, of which the program knows nothing.
double slope(const Tensor& image, const Tensor& text, double s) {
  const auto at = [&](double t) {
    return contrastive_loss(image, text, full({}, std::log(t), DType::f64)).item();
  };
  return (at(s + 1e-5) - at(s - 1e-5)) / 2e-5;
}

}  // namespace

TEST_CASE("cli: loss writes the loss and its gradients by features and by the factor given") {
  REQUIRE_BINARY();
  const Files files;
  put_features(files, 11);
  const std::string dump = files.dir / "out.safetensors";
  const Outcome r = diptych_run(files.line("--logit-scale 20 --tile 4 --json --dump " + dump));
  REQUIRE(r.exit_code == 0);
  const auto json = nlohmann::json::parse(r.out);
  const Tensor image = load_npy(files.dir / "i.npy"), text = load_npy(files.dir / "t.npy");
  const double plain = contrastive_loss(image, text, full({}, std::log(20.0), DType::f64)).item();
  CHECK(json["loss"].get<double>() == doctest::Approx(plain).epsilon(1e-12));
  CHECK(json["pairs"] == 11);
  CHECK(json["seconds"].get<double>() > 0);
  CHECK(json["peak_rss_mib"].get<int64_t>() > 0);
  CHECK(entry(dump, "loss").item() == json["loss"].get<double>());
  CHECK(entry(dump, "grad.image_features").shape() == image.shape());
  CHECK(entry(dump, "grad.text_features").dtype() == DType::f64);
  CHECK(entry(dump, "grad.logit_scale").item() ==
        doctest::Approx(slope(image, text, 20)).epsilon(1e-6));
}

TEST_CASE("cli: loss by pairs needs its bias, and gives its gradient") {
  REQUIRE_BINARY();
  const Files files;
  put_features(files, 5, DType::f32);
  const std::string dump = files.dir / "out.safetensors";
  const Outcome r =
      diptych_run(files.line("--logit-scale 10 --loss sigmoid --logit-bias -10 --dump " + dump));
  CHECK(r.exit_code == 0);
  CHECK(contains(r.out, "of 5 pairs, sigmoid; gradients in"));
  CHECK(std::fabs(entry(dump, "grad.logit_bias").item()) > 0);
  CHECK(diptych_run(files.line("--logit-scale 10 --loss sigmoid")).exit_code == 2);
  CHECK(diptych_run(files.line("--logit-scale 10 --logit-bias -10")).exit_code == 2);
}

TEST_CASE("cli: loss explains its tiles for as many pairs as fit on a screen") {
  REQUIRE_BINARY();
  const Files files;
  put_features(files, 3);
  const Outcome r = diptych_run(files.line("--logit-scale 5 --tile 2 --explain"));
  CHECK(r.exit_code == 0);
  for (const char* part : {"tile: pictures 0 to 1, texts 2 to 2", "x[2]", "rows: most",
                           "columns: total", "after all tiles", "Σ x of right", "loss "})
    CHECK_MESSAGE(contains(r.out, part), std::string(part));
  put_features(files, 9);
  const Outcome many = diptych_run(files.line("--logit-scale 5 --explain"));
  CHECK(many.exit_code == 2);
  CHECK(contains(many.err, "of at most 8 pairs, not 9"));
}

TEST_CASE("cli: loss refuses what is no pair of features in one sentence") {
  REQUIRE_BINARY();
  const Files files;
  const std::string dump = files.dir / "out.safetensors";
  const auto refused = [&](const std::string& flags, const std::string& words, int code = 1) {
    const Outcome r = diptych_run(files.line("--logit-scale 10 --dump " + dump + ' ' + flags));
    CAPTURE(r.err);
    CHECK(r.exit_code == code);
    CHECK(contains(r.err, words));
    CHECK(!std::filesystem::exists(dump));
  };
  put_features(files, 1);
  refused("", "N must be 2 or more");
  for (const char* name : {"i.npy", "t.npy"}) save_npy(files.dir / name, full({400000, 1}, 1));
  refused("--tile 400000", "400000 pairs in tiles of 400000 take 596.");
  put_features(files, 4);
  refused("--tile 0", "--tile", 2);
  const Outcome zero = diptych_run(files.line("--logit-scale 0"));
  CHECK(zero.exit_code == 2);
  CHECK(contains(zero.err, "--logit-scale"));
  CHECK(contains(diptych_run(files.line("")).err, "needs --logit-scale"));
  save_npy(files.dir / "l.npy", arange(3));
  refused("--labels " + (files.dir / "l.npy"), "l.npy' is i64 (3), and labels are i64 (4)");
  save_npy(files.dir / "t.npy", zeros({4, 6}, DType::f64));
  refused("", "t.npy': row 0 has length zero");
  Tensor x = randn({4, 6}, {3, 1}, DType::f64);
  for (const double size : {1e-13, 1e18}) {
    x.slice(0, 1, 2).fill_(size);
    save_npy(files.dir / "t.npy", x);
    refused("", "t.npy': the largest value of row 1 is 1e");
  }
  x.slice(0, 1, 2).fill_(1);
  x.slice(0, 2, 3).fill_(NAN);
  save_npy(files.dir / "t.npy", x);
  refused("", "t.npy': row 2 contains NaN or infinity");
  save_npy(files.dir / "t.npy", randn({4, 5}, {3, 1}, DType::f64));
  refused("", "N and D must agree");
  save_npy(files.dir / "t.npy", randn({4, 6}, {3, 1}, DType::f32));
  refused("", "convert one of them");
  save_npy(files.dir / "t.npy", arange(24).view({4, 6}));
  refused("", "features must be f32 or f64");
  save_npy(files.dir / "t.npy", randn({24}, {3, 1}));
  refused("", "features are (N, D)");
}
