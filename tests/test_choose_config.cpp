// tests/test_choose_config.cpp — whose configuration bare weights get, and what is asked for.
#include <doctest/doctest.h>

#include <filesystem>

#include "clip/weights/infer_config.h"
#include "clip/weights/model_file.h"
#include "tensor/io/safetensors.h"
#include "tests/config_files.h"
#include "tests/program.h"
#include "tests/squares.h"

namespace diptych::test {

TEST_CASE("configurations: names of tensors, not of files, tell which one belongs to them") {
  const TempDir dir;
  const std::string open_clip =
                        write_model_folder(dir, "open_clip", config_variant("open_clip", "eos")),
                    theirs = write_model_folder(dir, "transformers",
                                                config_variant("transformers", "eos 40"));
  // Each folder has the other library's configuration as well, of another model.
  put_file(dir / "open_clip/config.json", R"({"model_type": "bert"})");
  put_file(dir / "transformers/open_clip_config.json", R"({"model_cfg": {"embed_dim": 1}})");
  for (const std::string& path : {open_clip, theirs}) {
    CHECK(load_model(path).model->config().text.eos_id == 40);
    CHECK(contains(load_model(path).notes, "config.json"));
  }
}

TEST_CASE(
    "configurations: a preprocessor_config.json beside Hugging Face's config.json is obeyed") {
  const TempDir dir;
  const std::string path =
      write_model_folder(dir, "transformers", config_variant("transformers", "plain"));
  CHECK(contains(load_model(path).notes, "mean, std, resizing: OpenAI's, assumed"));
  const std::string pixels = dir / "transformers/preprocessor_config.json";
  put_file(pixels, R"({"size": 24, "crop_size": 24, "image_mean": [0.5, 0.25, 0.125]})");
  CHECK(load_model(path).model->config().preprocess.mean[1] == 0.25f);
  // transformers 5 writes another file, and prefers it.
  const std::string both = dir / "transformers/processor_config.json";
  put_file(both, R"({"image_processor": {"size": 24, "crop_size": 24, "image_std": [1, 2, 3]}})");
  CHECK(load_model(path).model->config().preprocess.std[2] == 3);
  CHECK(load_model(path).model->config().preprocess.mean[1] == 0.4578275f);
  std::filesystem::remove(both);
  put_file(pixels, R"({"size": 24, "crop_size": 24, "do_pad": true})");
  CHECK(contains(error_of([&] { load_model(path); }), "preprocessor_config.json: do_pad"));
}

TEST_CASE("configurations: --config serves weights that have none beside them") {
  const TempDir dir;
  save_safetensors(dir / "bare.safetensors", bare_weights());
  put_file(dir / "oc.json", config_variant("open_clip", "eos"));
  put_file(dir / "hf.json", config_variant("transformers", "eos 40"));
  put_file(dir / "ours.json", load_safetensors(kTinyWeights).metadata.at("config"));
  for (const char* file : {"oc.json", "hf.json"})
    CHECK(
        load_model(dir / "bare.safetensors", {.config = dir / file}).model->config().text.eos_id ==
        40);
  CHECK(load_model(dir / "bare.safetensors", {.config = dir / "ours.json"})
            .model->config()
            .vit()
            ->transformer.heads == 2);
  CHECK(contains(error_of([&] { load_model(kTinyWeights, {.config = dir / "oc.json"}); }),
                 "carries its configuration"));
  put_file(dir / "info.json",
           R"({"parameters": 1, "config": )" + get_file(dir / "ours.json") + '}');
  CHECK(load_model(dir / "bare.safetensors", {.config = dir / "info.json"}).notes ==
        "everything: from " + (dir / "info.json") + '\n');
  put_file(dir / "other.json", "{}");
  CHECK(contains(
      error_of([&] { load_model(dir / "bare.safetensors", {.config = dir / "other.json"}); }),
      "other.json"));
}

TEST_CASE("configurations: heads that nothing tells are asked for, not guessed") {
  const TempDir dir;
  const std::string path = dir / "bare.safetensors";
  save_safetensors(path, bare_weights());
  const auto quick = nn::Activation::quick_gelu;
  CHECK(contains(error_of([&] { load_model(path, {.activation = quick}); }),
                 "--vision-heads and --text-heads"));
  const LoadedModel loaded =
      load_model(path, {.activation = quick, .vision_heads = 4, .text_heads = 5});
  CHECK(loaded.model->config().vit()->transformer.heads == 4);
  CHECK(loaded.model->config().text.transformer.heads == 5);
  CHECK(contains(error_of([&] {
                   load_model(path, {.activation = quick, .vision_heads = 5, .text_heads = 5});
                 }),
                 "--vision-heads: 5 heads do not divide"));
  const std::string configured =
      write_model_folder(dir, "open_clip", config_variant("open_clip", "plain"));
  CHECK(contains(error_of([&] { load_model(configured, {.text_heads = 5}); }),
                 "--text-heads says 5"));
}

TEST_CASE("infer: towers of our own presets' size have OpenAI's heads, not our presets'") {
  // Width 64 and 2 layers are those of the text tower of preset "fashion", which has 2 heads.
  ModelConfig c = preset("fashion");
  const Clip model(c);
  CHECK(infer_config(model.state_dict()).config.text.transformer.heads == 1);
  const nn::ShapesOnly shapes_only;
  CHECK(infer_config(Clip(preset("ViT-H-14")).state_dict()).config.vit()->transformer.heads == 16);
}

TEST_CASE("vocabulary: --vocab gives one to a model without, and takes no other's place") {
  REQUIRE_BINARY();
  const TempDir dir;
  const Tokenizer words = Tokenizer::train({"a red cat", "a red boat"}, 520),
                  other = Tokenizer::train({"blue blue", "ship ship"}, 520),
                  smaller = Tokenizer::train({"a red cat"}, 514);
  put_file(dir / "words.txt", words.merges_text());
  put_file(dir / "other.txt", other.merges_text());
  put_file(dir / "smaller.txt", smaller.merges_text());
  put_file(dir / "texts.txt", "a red cat\n");
  ModelConfig config = tiny_config();
  config.text.vocab_size = words.vocab_size();
  Clip model(config);
  model.initialize(1);
  save_model(dir / "with.safetensors", model, &words);
  save_model(dir / "without.safetensors", model, nullptr);
  const auto embed = [&](const std::string& file, const std::string& vocab) {
    return diptych_run("embed --model " + (dir / file) + " --texts " + (dir / "texts.txt") +
                       " --out " + (dir / "x.npy") + " --vocab " + (dir / vocab));
  };
  CHECK(embed("without.safetensors", "words.txt").exit_code == 0);
  CHECK(embed("with.safetensors", "words.txt").exit_code == 0);
  CHECK(contains(embed("with.safetensors", "other.txt").err, "is not the one that"));
  CHECK(contains(embed("without.safetensors", "smaller.txt").err, "has 514 tokens"));
}

}  // namespace diptych::test
