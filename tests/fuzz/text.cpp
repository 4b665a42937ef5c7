// tests/fuzz/text.cpp — a caption through cleaning, tokenizer and back.
#include "data/text/tokenizer.h"
#include "tests/fuzz/fuzz.h"

using namespace diptych;
using namespace diptych::test;

namespace {

const Tokenizer& tokenizer() {
  static const Tokenizer trained =
      Tokenizer::train({"a photo of a dog", "a photo of a cat", "the dog and the cat"}, 530);
  return trained;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return survives(data, size, [](std::string_view bytes) {
    const std::vector<int64_t> ids = tokenizer().tokenize(bytes, 77, Overflow::truncate);
    tokenizer().decode(ids);
    tokenizer().encode(bytes, Specials::parse);
  });
}
