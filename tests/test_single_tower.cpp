// tests/test_single_tower.cpp — a file that holds one tower gives that one's features and no more.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "clip/weights/check.h"
#include "clip/weights/names.h"
#include "tensor/io/npy.h"
#include "tensor/io/safetensors.h"
#include "tests/config_files.h"
#include "tests/program.h"

using namespace diptych;
using namespace diptych::test;
using Json = nlohmann::ordered_json;

namespace {

constexpr LoadOptions with(Towers needed) {
  return {.activation = nn::Activation::quick_gelu,
          .vision_heads = needed == Towers::text ? 0 : 2,
          .text_heads = needed == Towers::image ? 0 : 2,
          .needed = needed};
}

bool is_image(const NamedTensor& x) { return x.name.starts_with("visual."); }

std::vector<NamedTensor> tower(bool image) {
  auto tensors = bare_weights();
  std::erase_if(tensors, [&](const NamedTensor& x) {
    return is_image(x) != image || x.name == "logit_scale";
  });
  return tensors;
}

Tensor pixels() { return full({2, 3, 24, 24}, 0.5); }

Captions captions(const Clip& model) {
  Tensor ids = zeros({1, model.config().text.context_length}, DType::i64);
  ids.slice(1, 0, 3).fill_(5);
  return pack_padded(ids, caption_end(model.config().text));
}

}  // namespace

TEST_CASE("single tower: an image tower under its names, or with nothing in front") {
  const TempDir dir;
  save_safetensors(dir / "all.safetensors", bare_weights());
  const LoadedModel all = load_model(dir / "all.safetensors", with(Towers::both));
  const Tensor want = all.model->encode_image(pixels());
  for (const std::string from : {"visual.", ""}) {
    auto alone = tower(true);
    for (NamedTensor& x : alone) x.name = from + x.name.substr(7);
    save_safetensors(dir / "v.safetensors", alone);
    const LoadedModel loaded = load_model(dir / "v.safetensors", with(Towers::image));
    CHECK(same_bits(loaded.model->encode_image(pixels()), want));
    CHECK(contains(loaded.notes, "the image tower alone"));
    CHECK(contains(error_of([&] { loaded.model->encode_text(captions(*all.model)); }),
                   "has no text tower"));
  }
}

TEST_CASE("single tower: a text tower alone") {
  const TempDir dir;
  save_safetensors(dir / "all.safetensors", bare_weights());
  save_safetensors(dir / "t.safetensors", tower(false));
  const LoadedModel all = load_model(dir / "all.safetensors", with(Towers::both)),
                    loaded = load_model(dir / "t.safetensors", with(Towers::text));
  CHECK(same_bits(loaded.model->encode_text(captions(*all.model)),
                  all.model->encode_text(captions(*all.model))));
  CHECK(contains(error_of([&] { loaded.model->encode_image(pixels()); }), "has no image tower"));
}

TEST_CASE("single tower: whoever needs the other is told which is missing") {
  const TempDir dir;
  save_safetensors(dir / "v.safetensors", tower(true));
  save_safetensors(dir / "t.safetensors", tower(false));
  const auto error = [&](const char* file, Towers needed) {
    LoadOptions options = with(needed);
    options.vision_heads = file[0] == 'v' ? 2 : 0;
    options.text_heads = file[0] == 't' ? 2 : 0;
    return error_of([&] { load_model(dir / file, options); });
  };
  for (const Towers needed : {Towers::both, Towers::text})
    CHECK(contains(error("v.safetensors", needed), "holds no text tower, which this needs"));
  for (const Towers needed : {Towers::both, Towers::image})
    CHECK(contains(error("t.safetensors", needed), "holds no image tower, which this needs"));
}

TEST_CASE("single tower: a damaged tower is not taken for none") {
  const TempDir dir;
  for (const auto& [gone, file] : {std::pair{"token_embedding.weight", "a.safetensors"},
                                   {"visual.class_embedding", "b.safetensors"},
                                   {"visual.conv1.weight", "c.safetensors"},
                                   {"ln_final.weight", "d.safetensors"}}) {
    CAPTURE(gone);
    auto tensors = bare_weights();
    std::erase_if(tensors, [&](const NamedTensor& x) { return x.name == gone; });
    save_safetensors(dir / file, tensors);
    for (const Towers needed : {Towers::image, Towers::text}) {
      LoadOptions options = with(Towers::both);
      options.needed = needed;
      CHECK(contains(error_of([&] { load_model(dir / file, options); }), gone));
    }
  }
}

TEST_CASE("single tower: transformers' configuration of one tower, and of both") {
  const TempDir dir;
  const Json both = Json::parse(config_variant("transformers", "plain"));
  Json vision = both["vision_config"], text = both["text_config"];
  vision["model_type"] = "clip_vision_model";
  text["model_type"] = "clip_text_model";
  vision["projection_dim"] = text["projection_dim"] = both["projection_dim"];
  const auto theirs = with_hugging_face_names(bare_weights());
  for (const bool image : {true, false}) {
    auto alone = theirs;
    std::erase_if(alone, [&](const NamedTensor& x) {
      return x.name.starts_with(image ? "text_" : "visi") || x.name == "logit_scale" ||
             x.name.starts_with(image ? "text_" : "visual");
    });
    save_safetensors(dir / "model.safetensors", alone);
    const LoadOptions options{.needed = image ? Towers::image : Towers::text};
    for (const Json& config : {both, image ? vision : text}) {
      put_file(dir / "config.json", config.dump());
      CHECK(error_of([&] { load_model(dir.path(), options); }) == "");
    }
    put_file(dir / "config.json", (image ? text : vision).dump());
    CHECK(contains(error_of([&] { load_model(dir.path(), options); }), "config.json"));
  }
}

TEST_CASE("single tower: embed does with one, others say which is missing") {
  const TempDir dir;
  save_safetensors(dir / "v.safetensors", tower(true));
  save_npy(dir / "p.npy", pixels());
  save_npy(dir / "t.npy", full({1, 12}, 5, DType::i64));
  const std::string model = " --model " + (dir / "v.safetensors") + " --activation gelu " +
                            "--vision-heads 2 --out " + (dir / "o.npy");
  CHECK(diptych_run("embed --pixels " + (dir / "p.npy") + model).exit_code == 0);
  const Outcome texts = diptych_run("embed --tokens " + (dir / "t.npy") + model);
  CHECK(texts.exit_code == 1);
  CHECK(contains(texts.err, "holds no text tower, which this needs"));
  const Outcome info =
      diptych_run("info " + (dir / "v.safetensors") + " --activation gelu --vision-heads 2");
  CHECK(info.exit_code == 1);
  CHECK(contains(info.err, "holds no text tower"));
}

TEST_CASE("single tower: cut out of a file of ours, configuration and all, it is one like others") {
  const TempDir dir;
  const SafeTensors whole = load_safetensors(std::string("tests/golden/tiny_clip.safetensors"));
  const LoadedModel all = load_model("tests/golden/tiny_clip.safetensors");
  for (const bool image : {true, false}) {
    auto alone = whole.tensors;
    std::erase_if(alone, [&](const NamedTensor& x) { return is_image(x) != image; });
    save_safetensors(dir / "cut.safetensors", alone, whole.metadata);
    const Towers there = image ? Towers::image : Towers::text;
    const LoadedModel cut = load_model(dir / "cut.safetensors", {.needed = there});
    const ModelConfig& c = all.model->config();
    const Tensor x = full({1, c.channels(), c.image_size(), c.image_size()}, 0.5);
    if (image)
      CHECK(same_bits(cut.model->encode_image(x), all.model->encode_image(x)));
    else
      CHECK(same_bits(cut.model->encode_text(captions(*all.model)),
                      all.model->encode_text(captions(*all.model))));
    for (const Towers needed : {Towers::both, image ? Towers::text : Towers::image})
      CHECK(contains(error_of([&] { load_model(dir / "cut.safetensors", {.needed = needed}); }),
                     image ? "holds no text tower, which this needs; it serves embed of pictures"
                           : "holds no image tower, which this needs; it serves embed of texts"));
    alone.pop_back();
    save_safetensors(dir / "cut.safetensors", alone, whole.metadata);
    CHECK(contains(error_of([&] { load_model(dir / "cut.safetensors", {.needed = there}); }),
                   "missing"));
  }
}
