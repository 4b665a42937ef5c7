// tests/test_safetensors.cpp — round trips of safetensors files, and what saving promises.
#include <doctest/doctest.h>

#include <limits>

#include "tensor/factory.h"
#include "tensor/io/file.h"
#include "tensor/io/safetensors.h"
#include "tests/files.h"

using namespace diptych;
using namespace diptych::test;

namespace {

/// Every dtype, ranks 0 and 6, empty tensors, special values.
std::vector<NamedTensor> all_kinds() {
  const float inf = std::numeric_limits<float>::infinity();
  const Tensor x = from_vector<float>(
      {1, -0.0f, inf, -inf, std::numeric_limits<float>::quiet_NaN(), 1e-45f}, {2, 3});
  return {{"f32", x},
          {"f64", from_vector<double>({1.0 / 3, -1e300}, {2})},
          {"f16", from_vector<float>({1, -2, 65504, 6e-8f}, {4}).to(DType::f16)},
          {"bf16", from_vector<float>({1, -2, 3e38f}, {3, 1}).to(DType::bf16)},
          {"i64", from_vector<int64_t>({INT64_MIN, -1, 0, INT64_MAX}, {2, 2})},
          {"u8", from_vector<uint8_t>({0, 1, 255}, {3})},
          {"scalar", from_vector<float>({2.65926f}, {})},
          {"empty", empty({0})},
          {"empty too", empty({3, 0, 2}, DType::i64)},
          {"rank 6", from_vector<float>({1, 2}, {1, 1, 2, 1, 1, 1})},
          {"", from_vector<float>({7}, {1})},
          {"naïve \"quoted\" \\ \n 日本", from_vector<float>({8}, {1})}};
}

const Metadata kMetadata = {{"config", R"({"width": 32})"}, {"é\t", std::string("\0\"", 2)}};

std::string dtype_in_file(const std::string& bytes) {
  const size_t begin = bytes.find("\"dtype\":\"") + 9;
  return bytes.substr(begin, bytes.find('"', begin) - begin);
}

}  // namespace

TEST_CASE("safetensors: every dtype, rank and name survives a round trip, bit by bit") {
  const TempDir dir;
  const std::vector<NamedTensor> tensors = all_kinds();
  save_safetensors(dir / "x", tensors, kMetadata);
  const SafeTensors loaded = load_safetensors(dir / "x");
  CHECK(loaded.metadata == kMetadata);
  REQUIRE(loaded.tensors.size() == tensors.size());
  for (const NamedTensor& x : tensors) {
    CAPTURE(x.name);
    REQUIRE(loaded.find(x.name) != nullptr);
    CHECK(same_bits(*loaded.find(x.name), x.tensor));
  }
  CHECK(loaded.find("none") == nullptr);
}

TEST_CASE("safetensors: dtypes have the names of the format") {
  const TempDir dir;
  const std::pair<DType, const char*> names[] = {{DType::f32, "F32"}, {DType::f64, "F64"},
                                                 {DType::f16, "F16"}, {DType::bf16, "BF16"},
                                                 {DType::i64, "I64"}, {DType::u8, "U8"}};
  for (const auto& [dtype, file_name] : names) {
    save_safetensors(dir / "x", {{"x", zeros({2}, dtype)}});
    CHECK(dtype_in_file(get_file(dir / "x")) == file_name);
  }
}

TEST_CASE("safetensors: the bytes of a file are those of the format") {
  const TempDir dir;
  save_safetensors(
      dir / "x",
      {{"a", from_vector<uint8_t>({7, 8}, {2})}, {"b", from_vector<float>({1.5f}, {1, 1})}},
      {{"k", "v"}});
  const std::string json =
      R"({"__metadata__":{"k":"v"},"b":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]},)"
      R"("a":{"dtype":"U8","shape":[2],"data_offsets":[4,6]}}   )";
  const std::string length = std::string{static_cast<char>(json.size())} + std::string(7, '\0');
  CHECK(json.size() % 8 == 0);
  CHECK(get_file(dir / "x") == length + json + std::string("\0\0\xc0\x3f\x07\x08", 6));
}

TEST_CASE("safetensors: a file with nothing in it is a file") {
  const TempDir dir;
  save_safetensors(dir / "x", {});
  CHECK(get_file(dir / "x") == std::string("\x08\0\0\0\0\0\0\0{}      ", 16));
  CHECK(load_safetensors(dir / "x").tensors.empty());
}

TEST_CASE("safetensors: equal input gives equal bytes, and tensors are aligned") {
  const TempDir dir;
  save_safetensors(dir / "a", all_kinds(), kMetadata);
  save_safetensors(dir / "b", all_kinds(), kMetadata);
  CHECK(get_file(dir / "a") == get_file(dir / "b"));
  int64_t before = 8;
  for (const NamedTensor& x : load_safetensors(dir / "a").tensors) {
    CHECK(size_of(x.tensor.dtype()) <= before);
    before = size_of(x.tensor.dtype());
  }
}

TEST_CASE("safetensors: tensors of one dtype keep their order") {
  const TempDir dir;
  std::vector<NamedTensor> tensors;
  for (const char* name : {"z", "a", "m", "b"}) tensors.push_back({name, zeros({2})});
  save_safetensors(dir / "x", tensors);
  const SafeTensors loaded = load_safetensors(dir / "x");
  for (size_t i = 0; i < tensors.size(); ++i) CHECK(loaded.tensors[i].name == tensors[i].name);
}

TEST_CASE("safetensors: views are written packed") {
  const TempDir dir;
  const Tensor x = arange(24, DType::f32).view({2, 3, 4});
  save_safetensors(dir / "x", {{"transposed", x.transpose(0, 2)},
                               {"sliced", x.slice(1, 1, 2)},
                               {"expanded", x.slice(0, 0, 1).expand({5, 3, 4})}});
  const SafeTensors loaded = load_safetensors(dir / "x");
  CHECK(same_bits(*loaded.find("transposed"), x.transpose(0, 2)));
  CHECK(same_bits(*loaded.find("sliced"), x.slice(1, 1, 2)));
  CHECK(same_bits(*loaded.find("expanded"), x.slice(0, 0, 1).expand({5, 3, 4})));
}

TEST_CASE("safetensors: loaded tensors are independent of the file and of each other") {
  const TempDir dir;
  save_safetensors(dir / "x", {{"a", full({1000}, 1)}, {"b", full({1000}, 2)}});
  SafeTensors loaded = load_safetensors(dir / "x");
  CHECK_FALSE(loaded.tensors[0].tensor.same_storage(loaded.tensors[1].tensor));
  loaded.tensors[0].tensor.fill_(3);
  save_safetensors(dir / "x", loaded.tensors);  // over the file they came from
  const SafeTensors again = load_safetensors(dir / "x");
  CHECK(same_bits(*again.find("a"), full({1000}, 3)));
  CHECK(same_bits(*again.find("b"), full({1000}, 2)));
  CHECK(same_bits(*loaded.find("b"), full({1000}, 2)));
}

TEST_CASE("safetensors: a failed save leaves the old file and says so") {
  const TempDir dir;
  const std::string path = dir / "x";
  save_safetensors(path, {{"old", full({4}, 1)}});
  const std::string before = get_file(path);
  const Tensor x = zeros({1});
  const auto refused = [&](const std::vector<NamedTensor>& tensors, const Metadata& metadata,
                           const std::string& message) {
    const std::string error = error_of([&] { save_safetensors(path, tensors, metadata); });
    CHECK(contains(error, "save: '" + path + "': "));
    CHECK_MESSAGE(contains(error, message), error);
    CHECK(get_file(path) == before);
    CHECK(dir.file_count() == 1);
  };
  refused({{"a", x}, {"a", x}}, {}, "the name 'a' is reserved, given twice");
  refused({{"__metadata__", x}}, {}, "the name '__metadata__' is reserved");
  refused({{std::string("a\0b", 3), x}}, {}, "contains a NUL");
  refused({{"a", Tensor()}}, {}, "tensor 'a' has no value");
  refused({{"\xff", x}}, {}, "is not valid UTF-8");
  refused({{"a", x}}, {{"\xc3", "v"}}, "is not valid UTF-8");
  refused({{"a", x}}, {{"k", "\xed\xa0\x80"}}, "is not valid UTF-8");
  refused({{"a", x}}, {{std::string(1, '\0'), "v"}}, "a key contains a NUL");
  refused({{"a", x}}, {{"k", std::string(100'000'000, 'v')}}, "over the limit of 100000000");
}

TEST_CASE("safetensors: a disk that is full is reported") {
  if (!std::filesystem::exists("/dev/full")) return;
  CHECK(error_of([] {
          save_safetensors("/dev/full", {{"x", zeros({100'000})}});
        }) == "save: '/dev/full': No space left on device");
}

TEST_CASE("safetensors: the golden file of PyTorch is read") {
  const std::string path = "tests/golden/tiny_clip.safetensors";
  if (!std::filesystem::exists(path)) {
    MESSAGE("skipped: run from the root of the tree");
    return;
  }
  const SafeTensors clip = load_safetensors(path);
  CHECK(clip.tensors.size() == 62);
  CHECK(contains(clip.metadata.at("config"), "\"activation\": \"quick_gelu\""));
  REQUIRE(clip.find("logit_scale") != nullptr);
  CHECK(clip.find("logit_scale")->shape() == Shape{});
  CHECK(clip.find("logit_scale")->item() == doctest::Approx(2.6592600).epsilon(1e-7));
  CHECK(clip.find("visual.conv1.weight")->shape() == Shape{32, 3, 8, 8});
}
