// tests/test_fuzz_corpus.cpp — every input that a fuzz target once found interesting, once more.
#include <doctest/doctest.h>

#include <filesystem>

#include "tests/files.h"

using namespace diptych;
using namespace diptych::test;

using Target = int(const uint8_t*, size_t);

// The Makefile names each target's LLVMFuzzerTestOneInput after its file.
extern "C" Target fuzz_config, fuzz_csv, fuzz_image, fuzz_merges, fuzz_npy, fuzz_pickle,
    fuzz_safetensors, fuzz_text, fuzz_text_file, fuzz_torch, fuzz_zip;

TEST_CASE("fuzz: every input of the corpus is read or refused with an Error") {
  const std::pair<const char*, Target*> targets[] = {
      {"config", fuzz_config},       {"csv", fuzz_csv},     {"image", fuzz_image},
      {"merges", fuzz_merges},       {"npy", fuzz_npy},     {"pickle", fuzz_pickle},
      {"text", fuzz_text},           {"torch", fuzz_torch}, {"safetensors", fuzz_safetensors},
      {"text_file", fuzz_text_file}, {"zip", fuzz_zip}};
  for (const auto& row : targets) {
    const std::string folder = std::string("tests/fuzz/corpus/") + row.first;
    int inputs = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      CAPTURE(entry.path().string());
      const std::string bytes = get_file(entry.path().string());
      CHECK_NOTHROW(row.second(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()));
      ++inputs;
    }
    CHECK_MESSAGE(inputs > 0, folder);
  }
}
