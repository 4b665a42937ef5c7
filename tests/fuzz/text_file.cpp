// tests/fuzz/text_file.cpp — a text file; the first byte is the size of the pieces it comes in, and
// the text may not depend on them.
#include "tensor/io/text_file.h"

#include "tests/fuzz/fuzz.h"

using namespace diptych;
using namespace diptych::test;

namespace {

std::string decode(std::string_view bytes, size_t piece) {
  TextDecoder decoder("fuzz");
  std::string text;
  for (size_t at = 0; at < bytes.size(); at += piece) text += decoder.next(bytes.substr(at, piece));
  return text + decoder.finish();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return survives(data, size, [](std::string_view bytes) {
    if (bytes.empty()) return;
    const size_t piece = 1 + static_cast<unsigned char>(bytes[0]);
    const std::string whole = decode(bytes.substr(1), bytes.size());
    if (decode(bytes.substr(1), piece) != whole) __builtin_trap();
    LineSplitter lines("fuzz", [](const std::string&) {});
    lines.next(whole);
    lines.finish();
  });
}
