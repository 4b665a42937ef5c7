// tests/test_config_mutations.cpp — changed configurations, vocabularies and manifests: each opens
// or is refused by an Error, in bounded time and memory. DIPTYCH_MUTANTS sets how many there are.
#include <doctest/doctest.h>

#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "clip/weights/export.h"
#include "clip/weights/model_file.h"
#include "clip/weights/run_folder.h"
#include "tests/limited.h"
#include "tests/mutants.h"
#include "tests/torch_files.h"

using namespace diptych;
using namespace diptych::test;

namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kMemory = int64_t{64} << 20;

/// The smallest model that every format has words for.
ModelConfig small_config() {
  ModelConfig c;
  c.embed_dim = 4;
  c.preprocess.size = 8;
  c.vision = nn::VitConfig{};
  c.vit()->patch_size = 4;
  c.text.context_length = 6;
  c.text.vocab_size = 519;  // of kMerges
  for (nn::TowerConfig* tower : {&c.vit()->transformer, &c.text.transformer}) {
    tower->width = 64;
    tower->layers = tower->heads = 1;
    tower->mlp_width = 8;
  }
  c.set_activation(nn::Activation::gelu);
  return c;
}

const std::string kMerges = "#version: 0.2\na b\nab c</w>\nd e\nde f</w>\nx y\n";

/// What a value may become that readers have stumbled over.
Json strange_value(std::mt19937_64& random) {
  static const std::vector<std::string> all = {"0",
                                               "-1",
                                               "1",
                                               "2",
                                               "7",
                                               "1e6",
                                               "2147483648",
                                               "1e18",
                                               "1e308",
                                               "-0.0",
                                               "0.5",
                                               "1e-320",
                                               "4294967296",
                                               "null",
                                               "true",
                                               "[]",
                                               "{}",
                                               "\"\"",
                                               "[1]",
                                               "\"gelu\"",
                                               "\"eos\"",
                                               "[[[]]]",
                                               "[0,0,0]",
                                               "\"quick_gelu\"",
                                               "false",
                                               "[1,2]",
                                               "3",
                                               "\"bicubic\"",
                                               "\"NaN\"",
                                               "{\"a\":1}",
                                               "9223372036854775807",
                                               "18446744073709551615"};
  return Json::parse(all[random() % all.size()]);
}

/// One value of a JSON text replaced, removed or doubled under another name; then, half of the
/// time, some bytes changed.
std::string mutant_of_json(const std::string& text, std::mt19937_64& random) {
  Json json = Json::parse(text);
  const Json flat = json.flatten();
  auto leaf = flat.begin();
  std::advance(leaf, static_cast<std::ptrdiff_t>(random() % flat.size()));
  Json::json_pointer place(leaf.key());
  for (auto up = random() % 4; up == 0 && !place.empty(); up = random() % 2) place.pop_back();
  if (random() % 8 == 0 && !place.empty() && json[place.parent_pointer()].is_object()) {
    json[place.parent_pointer()].erase(place.back());
  } else {
    json[place] = strange_value(random);
  }
  std::string bytes = json.dump();
  for (auto edits = random() % 4; edits > 1; --edits) mutate(bytes, random);
  return bytes;
}

std::string mutant_of_text(const std::string& text, std::mt19937_64& random) {
  std::string bytes = text;
  for (auto edits = 1 + random() % 4; edits > 0; --edits) mutate(bytes, random);
  return bytes;
}

using Mutate = std::string (*)(const std::string&, std::mt19937_64&);

/// Puts mutants of `good` in its place and opens each: it may be refused by Error only.
void survive(const std::string& what, const std::string& good, Mutate mutant,
             const std::function<void(const std::string& bytes)>& open) {
  constexpr int kAtATime = 500;  // of one child process, so that a hang is seen soon
  const int count = mutants(kFew);
  Limited worst;
  int refused = 0;
  for (int begin = 0; begin < count; begin += kAtATime) {
    const Limited got = run_limited(kMemory, [&] {
      check(std::freopen("/dev/null", "w", stderr) != nullptr, "test: stderr");
      std::mt19937_64 random(static_cast<uint64_t>(begin));
      int errors = 0;
      for (int i = 0; i < kAtATime; ++i) {
        const std::string bytes = mutant(good, random);
        errors += !error_of([&] { open(bytes); }).empty();
      }
      fail(errors);
    });
    CAPTURE(begin);
    REQUIRE_MESSAGE(!got.error.starts_with("died"), got.error);
    refused += std::stoi(got.error);
    worst.growth = std::max(worst.growth, got.growth);
    worst.seconds = std::max(worst.seconds, got.seconds);
  }
  MESSAGE(what, ": ", refused, " of ", count, " refused; ", worst.growth >> 20, " MiB, ",
          worst.seconds, " s for ", kAtATime);
  CHECK(refused > 0);
}

/// A good model in a folder of each kind.
struct Folders {
  Folders() {
    Clip model(small_config());
    model.initialize(0);
    model.eval();
    const Tokenizer words = Tokenizer::from_merges(kMerges);
    save_model(dir / "ours.safetensors", model, &words);
    export_hugging_face(dir / "hf", model, &words);
    export_open_clip(dir / "oc", model);
  }

  /// Mutants of a file beside the weights of `folder`.
  void survive_beside(const std::string& folder, const std::string& file,
                      Mutate mutant = mutant_of_json) {
    const std::string path = dir / folder + '/' + file, good = get_file(path);
    survive(file, good, mutant, [&](const std::string& bytes) {
      put_file(path, bytes);
      load_model(dir / folder);
    });
    put_file(path, good);
    CHECK(error_of([&] { load_model(dir / folder); }) == "");
  }

  /// Mutants of a text in the metadata of our own format.
  void survive_inside(const char* key, Mutate mutant) {
    const std::string file = get_file(dir / "ours.safetensors");
    uint64_t length = 0;
    file.copy(reinterpret_cast<char*>(&length), sizeof length);
    Json header = Json::parse(file.substr(sizeof length, length));
    const std::string good = header["__metadata__"][key], data = file.substr(8 + length);
    survive(key, good, mutant, [&](const std::string& bytes) {
      header["__metadata__"][key] = bytes;
      const std::string json =
          header.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
      put_file(dir / "changed.safetensors", little_endian(uint64_t{json.size()}) + json + data);
      load_model(dir / "changed.safetensors");
    });
  }

  TempDir dir;
};

}  // namespace

TEST_CASE("config mutations: our own configuration and vocabulary, in the file") {
  Folders folders;
  folders.survive_inside("config", mutant_of_json);
  folders.survive_inside("vocabulary", mutant_of_text);
}

TEST_CASE("config mutations: Hugging Face's files beside the weights") {
  Folders folders;
  folders.survive_beside("hf", "config.json");
  folders.survive_beside("hf", "preprocessor_config.json");
  folders.survive_beside("hf", "vocab.json");
  folders.survive_beside("hf", "tokenizer_config.json");
  folders.survive_beside("hf", "merges.txt", mutant_of_text);
}

TEST_CASE("config mutations: open_clip's file beside the weights") {
  Folders().survive_beside("oc", "open_clip_config.json");
}

TEST_CASE("config mutations: a merges file") {
  const TempDir dir;
  survive("merges", kMerges, mutant_of_text, [&](const std::string& bytes) {
    put_file(dir / "merges.txt", bytes);
    Tokenizer::load(dir / "merges.txt").tokenize("abc def", 77, Overflow::error);
  });
}

TEST_CASE("config mutations: the manifest of a checkpoint") {
  const Folders folders;
  const std::string run = folders.dir / "run", step = run + "/checkpoints/step_00000001";
  std::filesystem::create_directories(step);
  for (const char* file : {kModelFile, kTrainingFile})
    std::filesystem::copy(folders.dir / "ours.safetensors", step + '/' + file);
  write_manifest(step);
  REQUIRE(newest_checkpoint(run) == step);
  survive("manifest", get_file(step + "/manifest.json"), mutant_of_json,
          [&](const std::string& bytes) {
            put_file(step + "/manifest.json", bytes);
            check(!newest_checkpoint(run).empty(), "no checkpoint");
          });
}
