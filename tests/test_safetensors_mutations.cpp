// tests/test_safetensors_mutations.cpp — thousands of damaged safetensors files: whatever is
// accepted must agree with a second, naive reading of the same bytes.
#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>

#include "tensor/factory.h"
#include "tensor/io/safetensors.h"
#include "tests/files.h"
#include "tests/mutants.h"

using namespace diptych;
using namespace diptych::test;

namespace {

std::string seed_file() {
  const TempDir dir;
  save_safetensors(dir / "x",
                   {{"a", arange(6, DType::f32).view({2, 3})},
                    {"b", arange(3, DType::i64)},
                    {"c", empty({0, 2})},
                    {"d", full({}, 2, DType::f16)},
                    {"e", arange(5, DType::u8)}},
                   {{"k", "v"}});
  return get_file(dir / "x");
}

/// Half of the mutants get a length that fits their header, or few would pass the first check.
std::string mutant(const std::string& seed, std::mt19937_64& random) {
  std::string bytes = seed;
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  const bool repair = random() % 2 == 0;
  for (uint64_t edits = 1 + random() % 3; edits > 0; --edits) {
    const size_t before = bytes.size();
    const size_t end = repair ? 8 + static_cast<size_t>(length) : bytes.size();
    mutate(bytes, random, repair ? 8 : 0, end);
    if (repair) length += bytes.size() - before;
  }
  if (repair) bytes.replace(0, 8, std::string(reinterpret_cast<const char*>(&length), 8));
  return bytes;
}

bool agrees_with_naive_reading(const SafeTensors& loaded, const std::string& bytes) {
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  const nlohmann::json header = nlohmann::json::parse(bytes.substr(8, length));
  size_t covered = 8 + length;
  for (const auto& [name, tensor] : loaded.tensors) {
    const nlohmann::json& entry = header.at(name);
    const size_t begin = entry["data_offsets"][0], end = entry["data_offsets"][1];
    Shape shape;
    for (const int64_t d : entry["shape"]) shape.push_back(d);
    const bool same = tensor.shape() == shape &&
                      (entry["dtype"] == "I32" ||
                       bytes_of(tensor) == bytes.substr(8 + length + begin, end - begin));
    if (!same) return false;
    covered += end - begin;
  }
  const size_t others = header.contains("__metadata__") ? 1 : 0;
  return covered == bytes.size() && header.size() == loaded.tensors.size() + others;
}

}  // namespace

TEST_CASE("safetensors: no mutated file crashes the reader or is accepted wrongly") {
  const TempDir dir;
  const std::string path = dir / "mutant", seed = seed_file();
  std::mt19937_64 random(1);
  int accepted = 0, wrong = 0, unnamed = 0;
  for (int i = 0; i < kMutants; ++i) {
    const std::string bytes = mutant(seed, random);
    put_file(path, bytes);
    try {
      const SafeTensors loaded = load_safetensors(path);
      ++accepted;
      wrong += !agrees_with_naive_reading(loaded, bytes);
    } catch (const Error& e) {
      unnamed += !contains(e.what(), path);
    }
  }
  CHECK(accepted > kMutants / 50);  // the mutants are close enough to the rules to test them
  CHECK(accepted < kMutants * 3 / 4);
  CHECK(wrong == 0);
  CHECK(unnamed == 0);
}
