// tests/test_shards.cpp — a model in several files with an index: each opened once, each held
// against the index.
#include <doctest/doctest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "clip/weights/export.h"
#include "clip/weights/model_file.h"
#include "clip/weights/shards.h"
#include "tensor/io/sha256.h"
#include "tests/config_files.h"
#include "tests/mutants.h"
#include "tests/openings.h"
#include "tests/torch_files.h"

using namespace diptych;
using namespace diptych::test;
using Json = nlohmann::ordered_json;

namespace {

const std::string kFirst = "model-00001-of-00002.safetensors",
                  kSecond = "model-00002-of-00002.safetensors",
                  kIndex = "model.safetensors.index.json";

/// A folder as transformers writes it with a small max_shard_size.
struct Sharded {
  Sharded() : whole(load_model(kTinyWeights)) {
    export_hugging_face(dir / "hf", *whole.model, nullptr);
    const std::string single = at("model.safetensors");
    tensors = load_safetensors(single).tensors;
    std::filesystem::remove(single);
    for (size_t i = 0; i < tensors.size(); ++i) map[tensors[i].name] = i < 20 ? kFirst : kSecond;
    write_shards();
    write_index();
  }

  std::string at(const std::string& name) const { return dir / ("hf/" + name); }
  void write_shards() const {
    const auto middle = tensors.begin() + 20;
    save_safetensors(at(kFirst), {tensors.begin(), middle}, {{"format", "pt"}});
    save_safetensors(at(kSecond), {middle, tensors.end()}, {{"format", "pt"}});
  }
  void write_index() const { put_index({{"metadata", {{"total_size", 1}}}, {"weight_map", map}}); }
  void put_index(const Json& json) const { put_file(at(kIndex), json.dump()); }
  std::string error() const {
    return error_of([&] { load_model(dir / "hf"); });
  }
  std::string error_with(const Json& index) const {
    put_index(index);
    return error();
  }

  TempDir dir;
  LoadedModel whole;
  std::vector<NamedTensor> tensors;
  Json map;
};

void check_same_weights(const LoadedModel& got, const LoadedModel& want) {
  const auto a = got.model->state_dict(), b = want.model->state_dict();
  REQUIRE(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) CHECK(same_bits(a[i].tensor, b[i].tensor));
}

}  // namespace

TEST_CASE("shards: a folder and its index open as the whole model, each file opened once") {
  const Sharded s;
  for (const std::string& road : {s.dir / "hf", s.at(kIndex)}) {
    check_same_weights(load_model(road), s.whole);
    for (const std::string& name : {kIndex, kFirst, kSecond})
      CHECK(count_openings(s.at(name), [&] { load_model(road); }) == 1);
  }
}

TEST_CASE("shards: those of torch.save, under pytorch_model.bin.index.json") {
  const TempDir dir;
  const std::string a = "pytorch_model-00001-of-00002.bin", b = "pytorch_model-00002-of-00002.bin";
  const auto one = [](const std::string& name) {
    return torch_file(pickle_of(dict({{name, floats("0", 4)}})), {std::string(16, '\1')}).bytes;
  };
  put_file(dir / a, one("x"));
  put_file(dir / b, one("y"));
  put_file(dir / "pytorch_model.bin.index.json", Json{{"weight_map", {{"x", a}, {"y", b}}}}.dump());
  std::vector<std::string> around;
  const SafeTensors all = ModelFiles(dir / "pytorch_model.bin.index.json").load(around);
  REQUIRE(all.tensors.size() == 2);
  CHECK(all.find("x")->numel() == 4);
  CHECK(contains(error_of([&] { load_model(dir.path()); }), "no tensor"));  // but found
}

TEST_CASE("shards: the hash is of the index and the shards in a row, all of them") {
  const Sharded s;
  const std::string hash =
      sha256(get_file(s.at(kIndex)) + get_file(s.at(kFirst)) + get_file(s.at(kSecond)));
  CHECK(error_of([&] { load_model(s.dir / "hf", {.sha256 = hash}); }) == "");
  std::string other = get_file(s.at(kSecond));
  other.back() = static_cast<char>(other.back() ^ 1);
  put_file(s.at(kSecond), other);
  CHECK(contains(error_of([&] { load_model(s.dir / "hf", {.sha256 = hash}); }), "the SHA-256 is "));
}

TEST_CASE("shards: what the index says of tensors and shards must be so") {
  const Sharded s;
  const std::string a = s.tensors[0].name, last = s.tensors.back().name;
  Json map = s.map;
  map["stranger"] = kSecond;
  CHECK(contains(s.error_with({{"weight_map", map}}),
                 "'stranger' is in '" + kSecond + "', which lacks it"));
  map = s.map;
  map.erase(last);
  CHECK(contains(s.error_with({{"weight_map", map}}),
                 "does not name '" + last + "', which is in the shard '" + kSecond + "'"));
  map = s.map;
  map[a] = kSecond;
  CHECK(contains(s.error_with({{"weight_map", map}}),
                 "'" + a + "' is in '" + kSecond + "'; the shard '" + kFirst + "' holds"));
  s.write_index();
  save_safetensors(s.at(kSecond), s.tensors);  // those of the first shard, too
  CHECK(contains(s.error(), "'; the shard '" + kSecond + "' holds one too"));
  std::filesystem::remove(s.at(kSecond));
  CHECK(contains(s.error(), kSecond));
}

TEST_CASE("shards: an index leads to no file outside of its folder") {
  const Sharded s;
  std::filesystem::copy(s.at(kSecond), s.dir / "outside.safetensors");
  for (const std::string& name :
       {std::string("../outside.safetensors"), s.dir / "outside.safetensors", std::string("."),
        std::string(".."), std::string(), std::string("a\\b"), std::string("a\0b", 3),
        std::string("\033[31m"), kIndex, std::string("../hf/") + kSecond}) {
    CAPTURE(name);
    Json map = s.map;
    for (auto& [tensor, shard] : map.items())
      if (shard == kSecond) shard = name;
    const std::string error = s.error_with({{"weight_map", map}});
    CHECK_MESSAGE(error.starts_with("model: "), error);
    CHECK(contains(error, s.dir.path()));
    CHECK_MESSAGE(contains(error, "is no name of a file in the folder of the index"), error);
  }
}

TEST_CASE("shards: links are followed, as in Hugging Face's cache") {
  const Sharded s;
  std::filesystem::rename(s.at(kSecond), s.dir / "blob");
  std::filesystem::create_symlink("../blob", s.at(kSecond));
  CHECK(s.error() == "");
  std::filesystem::remove(s.at(kSecond));
  std::filesystem::create_symlink(kFirst, s.at(kSecond));  // two names of one file
  CHECK(contains(s.error(), "holds one too"));
  std::filesystem::remove(s.at(kSecond));
  std::filesystem::create_symlink("nowhere", s.at(kSecond));
  CHECK(contains(s.error(), kSecond));
  std::filesystem::remove(s.at(kSecond));
  std::filesystem::create_directory(s.at(kSecond));
  CHECK(contains(s.error(), kSecond));
}

TEST_CASE("shards: a malformed index is refused in one sentence") {
  const Sharded s;
  Json many;
  for (int i = 0; i < 201; ++i) many["x" + std::to_string(i)] = std::to_string(i);
  const Json right{{"x", kFirst}};
  for (const auto& [index, message] : std::vector<std::pair<Json, std::string>>{
           {Json::array({1}), "has a weight_map"},
           {Json::object(), "has a weight_map"},
           {{{"weight_map", Json::object()}}, "has a weight_map"},
           {{{"weight_map", "x"}}, "has a weight_map"},
           {{{"weight_map", {{"x", 1}}}}, "the file of 'x' is no text"},
           {{{"weight_map", many}}, "more than 200 shards"},
           {{{"weight_map", right}, {"extra", 1}}, "'extra' is not known"},
           {{{"weight_map", right}, {"metadata", 1}}, "'metadata' is not known"}}) {
    CAPTURE(index.dump());
    CHECK_MESSAGE(contains(s.error_with(index), message), s.error());
  }
  put_file(s.at(kIndex), R"({"weight_map": {"x": "a", "x": "b"}})");
  CHECK(contains(s.error(), "x"));
  put_file(s.at(kIndex), std::string((8 << 20) + 1, ' '));
  CHECK(contains(s.error(), "larger than the limit"));
}

TEST_CASE("shards: one shard alone is no model") {
  const Sharded s;
  CHECK(contains(error_of([&] { load_model(s.at(kFirst)); }), "is one shard of several"));
  CHECK(is_one_shard("a/b-00003-of-00012.bin"));
  CHECK(!is_one_shard("model-00001-of-00001.safetensors"));
  CHECK(!is_one_shard("model-0001-of-0002.safetensors"));
  CHECK(!is_one_shard("m.safetensors"));
}

TEST_CASE("shards: random mutants of an index open the same model or are refused by name") {
  const Sharded s;
  const std::string good = get_file(s.at(kIndex));
  std::mt19937_64 random(1);
  int refused = 0;
  for (int i = 0; i < kFew; ++i) {
    std::string bytes = good;
    mutate(bytes, random);
    put_file(s.at(kIndex), bytes);
    const std::string error = s.error();
    if (error.empty()) continue;
    ++refused;
    CHECK_MESSAGE(error.starts_with("model: "), error);
    CHECK(contains(error, s.at("")));
    CHECK(error.size() < 1000);
  }
  CHECK(refused > kFew / 2);
}
