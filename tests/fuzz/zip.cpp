// tests/fuzz/zip.cpp — an archive; all entries are read.
#include "tensor/io/zip.h"

#include "tests/fuzz/fuzz.h"

using namespace diptych;
using namespace diptych::test;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return survives(data, size, [](std::string_view bytes) {
    const MemoryFile memory(bytes);
    const InputFile file("fuzz", memory.path());
    const ZipArchive archive(file);
    for (const ZipEntry& entry : archive.entries()) archive.read(entry);
  });
}
