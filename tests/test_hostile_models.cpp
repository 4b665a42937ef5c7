// tests/test_hostile_models.cpp — configurations that announce models nobody can hold: each is
// refused by what the file holds, before anything is built.
#include <doctest/doctest.h>

#include <algorithm>
#include <climits>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "clip/weights/check.h"
#include "clip/weights/export.h"
#include "clip/weights/model_file.h"
#include "tensor/io/safetensors.h"
#include "tests/limited.h"

using namespace diptych;
using namespace diptych::test;

namespace {

using Json = nlohmann::ordered_json;

const std::string kVit = "tests/golden/tiny_clip.safetensors",
                  kResNet = "tests/golden/tiny_resnet.safetensors";
constexpr int64_t kOver = int64_t{64} << 20;  // allowed beside the file
constexpr int64_t kSizes[] = {
    0,        -1, 1'000'000'000, 1'000'000, int64_t{1} << 31, int64_t{1} << 40, int64_t{1} << 62,
    INT64_MAX};

/// The most that any of many files took.
struct Worst {
  int files = 0;
  double seconds = 0;
  int64_t growth = 0;

  void add(const Limited& x) {
    ++files;
    seconds = std::max(seconds, x.seconds);
    growth = std::max(growth, x.growth);
  }
  ~Worst() { MESSAGE(files, " files: at most ", seconds, " s, ", growth >> 20, " MiB"); }
};

/// Opens a model that must be refused, in an Error that names the file.
void check_refused(const std::string& path, const std::string& what, Worst& worst) {
  CAPTURE(what);
  const auto size = static_cast<int64_t>(std::filesystem::file_size(path));
  const Limited got = run_limited(size + kOver, [&] { load_model(path); });
  CHECK_MESSAGE(contains(got.error, path), got.error);
  CHECK_MESSAGE(got.error.starts_with("model: "), got.error);
  CHECK(got.error.size() < 4000);
  CHECK(got.growth <= size + kOver);
  worst.add(got);
}

/// Each of some numbers of a configuration in turn, with each of kSizes.
template <class Use>
void with_every_size(const Json& config, const std::vector<std::string>& pointers, const Use& use) {
  for (const std::string& pointer : pointers) {
    for (const int64_t size : kSizes) {
      Json changed = config;
      changed[Json::json_pointer(pointer)] = size;
      use(pointer + " = " + std::to_string(size), changed);
    }
  }
}

const std::vector<std::string> kText = {"/text/context_length", "/text/vocab_size",
                                        "/text/width",          "/text/layers",
                                        "/text/heads",          "/text/mlp_width"};

void check_ours(const std::string& good, std::vector<std::string> pointers) {
  const TempDir dir;
  const SafeTensors file = load_safetensors(good);
  pointers.insert(pointers.end(), kText.begin(), kText.end());
  Worst worst;
  with_every_size(Json::parse(file.metadata.at("config")), pointers,
                  [&](const std::string& what, const Json& config) {
                    Metadata metadata = file.metadata;
                    metadata["config"] = config.dump();
                    save_safetensors(dir / "m.safetensors", file.tensors, metadata);
                    check_refused(dir / "m.safetensors", what, worst);
                  });
}

}  // namespace

TEST_CASE("hostile models: every size of a vision transformer, in our own configuration") {
  check_ours(kVit, {"/embed_dim", "/vision/image_size", "/vision/patch_size", "/vision/channels",
                    "/vision/width", "/vision/layers", "/vision/heads", "/vision/mlp_width"});
}

TEST_CASE("hostile models: every size of a ResNet, in our own configuration") {
  check_ours(kResNet, {"/embed_dim", "/vision/image_size", "/vision/channels", "/vision/width",
                       "/vision/heads", "/vision/layers/0", "/vision/layers/1", "/vision/layers/2",
                       "/vision/layers/3"});
}

TEST_CASE("hostile models: sizes that agree with each other, but not with the tensors") {
  const TempDir dir;
  const SafeTensors file = load_safetensors(kVit);
  Worst worst;
  for (const auto& [pointer, other, size] :
       {std::tuple{"/vision/image_size", "/vision/patch_size", int64_t{1} << 31},
        {"/vision/width", "/vision/heads", int64_t{1} << 31},
        {"/vision/width", "/vision/mlp_width", int64_t{1} << 30},
        {"/text/width", "/text/heads", int64_t{1} << 31},
        {"/text/layers", "/vision/layers", int64_t{1} << 31},
        {"/text/layers", "/vision/layers", int64_t{5}},
        {"/text/layers", "/vision/layers", int64_t{1000}}}) {
    Json config = Json::parse(file.metadata.at("config"));
    config[Json::json_pointer(pointer)] = config[Json::json_pointer(other)] = size;
    save_safetensors(dir / "m.safetensors", file.tensors, {{"config", config.dump()}});
    check_refused(dir / "m.safetensors", std::string(pointer) + std::to_string(size), worst);
  }
}

TEST_CASE("hostile models: very many tensors, as for very many blocks") {
  const TempDir dir;
  const SafeTensors file = load_safetensors(kVit);
  std::vector<NamedTensor> tensors = file.tensors;
  for (int64_t block = 2; tensors.size() < 16'000; ++block) {
    for (const NamedTensor& x : file.tensors) {
      const std::string first = "transformer.resblocks.0.";
      if (!x.name.starts_with(first)) continue;
      const std::string name =
          "transformer.resblocks." + std::to_string(block) + '.' + x.name.substr(first.size());
      tensors.push_back({name, empty({0}, DType::f32)});
    }
  }
  Json config = Json::parse(file.metadata.at("config"));
  Worst worst;
  for (const int64_t layers : {2, 1000, 1333, 1334}) {
    config["text"]["layers"] = layers;
    save_safetensors(dir / "m.safetensors", tensors, {{"config", config.dump()}});
    check_refused(dir / "m.safetensors", std::to_string(layers) + " layers", worst);
  }
}

TEST_CASE("hostile models: a message about a file that is wrong all over stays short") {
  std::vector<NamedTensor> strangers;
  for (int i = 0; i < 10'000; ++i)
    strangers.push_back({"stranger" + std::to_string(i), zeros({1})});
  const std::string error =
      error_of([&] { check_sizes(load_model(kVit).model->config(), strangers); });
  CHECK(contains(error, "missing: "));
  CHECK(contains(error, " more"));
  CHECK(error.size() < 2000);
}

TEST_CASE("hostile models: sizes are compared without memory for the model") {
  const TempDir dir;
  ModelConfig huge = preset("ViT-L-14");
  const Limited got = run_limited(kOver, [&] { check_sizes(huge, {}); });
  CHECK(contains(got.error, "more than the file holds"));
  std::vector<NamedTensor> many;
  for (int i = 0; i < 1000; ++i) many.push_back({"x" + std::to_string(i), zeros({1})});
  const Limited compared = run_limited(kOver, [&] { check_sizes(huge, many); });
  CHECK(contains(compared.error, "missing: visual.conv1.weight"));
  huge.vision = nn::ResNetConfig{int64_t{1} << 22, {1, 1, 1, 1}, 32};  // buffers of 512 MiB
  const Limited buffers = run_limited(kOver, [&] { check_sizes(huge, many); });
  CHECK_MESSAGE(contains(buffers.error, "missing: "), buffers.error);
  huge.vision = nn::ResNetConfig{int64_t{1} << 30, {1, 1, 1, 1}, 32};
  CHECK(contains(error_of([&] { check_sizes(huge, many); }), "no parameter can have the shape"));
}
