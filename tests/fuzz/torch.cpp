// tests/fuzz/torch.cpp — the pickle of a .pt file whose archive is right: no random change would
// keep the CRC.
#include "tensor/io/torch_file.h"
#include "tests/fuzz/fuzz.h"
#include "tests/torch_files.h"

using namespace diptych;
using namespace diptych::test;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return survives(data, size, [](std::string_view bytes) {
    const std::string zeros(64, '\0');
    const Zip zip = torch_file(std::string(bytes), {zeros, zeros.substr(48), zeros.substr(62), ""});
    for (const NamedTensor& x : load_torch(MemoryFile(zip.bytes).path())) x.tensor.clone();
  });
}
