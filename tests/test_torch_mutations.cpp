// tests/test_torch_mutations.cpp — thousands of damaged .pt files: none crashes, none gives bytes
// that it does not hold.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <random>

#include "tensor/io/torch_file.h"
#include "tensor/io/zip.h"
#include "tests/files.h"
#include "tests/mutants.h"
#include "tests/torch_files.h"

using namespace diptych;
using namespace diptych::test;

namespace {

using Parts = std::vector<ZipPart>;

/// The entries of a file of PyTorch, without its code.
Parts parts_of(const std::string& path) {
  const InputFile file("test", path);
  const ZipArchive archive(file);
  Parts parts;
  for (const ZipEntry& entry : archive.entries())
    if (!entry.compressed && entry.name.find("/code/") == entry.name.npos)
      parts.push_back({entry.name, archive.read(entry)});
  return parts;
}

Parts small_file() {
  const std::string x = floats("0", 6), half = storage("HalfStorage", "1", 4);
  const std::string state = dict({{"a", x},
                                  {"t", tensor(storage("FloatStorage", "0", 6), 0, {3, 2}, {1, 3})},
                                  {"h", tensor(half, 1, {3}, {1})},
                                  {"i", tensor(storage("ShortStorage", "2", 2), 0, {2}, {1})}});
  std::string bytes;
  for (char c = 1; c <= 24; ++c) bytes += c;
  return {{"m/data.pkl", pickle_of(dict({{"epoch", "K\3"}, {"state_dict", state}}))},
          {"m/byteorder", "little"},
          {"m/data/0", bytes},
          {"m/data/1", bytes.substr(3, 8)},
          {"m/data/2", bytes.substr(9, 4)}};
}

/// An opcode in the place of a byte, or between two.
void mutate_program(std::string& pickle, std::mt19937_64& random) {
  constexpr std::string_view kOpcodes = "(.)GJKMNQRX]abcehjqrstu}\x80\x81\x85\x86\x87\x88\x89\x8a";
  const char opcode = kOpcodes[random() % kOpcodes.size()];
  const size_t at = random() % (pickle.size() + 1);
  if (at < pickle.size() && random() % 2 == 0) {
    pickle[at] = opcode;
  } else {
    pickle.insert(at, 1, opcode);
  }
}

/// An edit inside an entry; the archive around it is then written anew, so that its CRC is right.
void mutate_parts(Parts& parts, std::mt19937_64& random) {
  ZipPart& any = parts[random() % parts.size()];
  const auto found = std::find_if(parts.begin(), parts.end(), [](const ZipPart& part) {
    return part.name.ends_with("data.pkl");
  });
  ZipPart& pickle = found == parts.end() ? any : *found;
  switch (random() % 8) {
    case 0:
      return mutate(any.data, random);
    case 1:
      return mutate(any.name, random);
    case 2:
    case 3:
      return mutate_program(pickle.data, random);
    default:
      return mutate(pickle.data, random);
  }
}

std::string mutant(const Parts& seed, std::mt19937_64& random) {
  Parts parts = seed;
  const bool repair = random() % 4 != 0;
  const uint64_t edits = 1 + random() % 2;
  for (uint64_t i = 0; repair && i < edits; ++i) mutate_parts(parts, random);
  Zip zip = zip_of(parts);
  for (uint64_t i = 0; !repair && i < edits; ++i) {
    const bool headers = random() % 2 == 0;
    mutate(zip.bytes, random, headers ? zip.central[0] : 0);
  }
  return zip.bytes;
}

/// Whether all elements lie in the storage, and in the file where they are one piece of it.
bool lies_inside(const Tensor& x, const std::string& file) {
  int64_t last = 0;
  for (int i = 0; i < x.rank(); ++i) last += (x.dim(i) - 1) * x.strides()[i];
  if (x.numel() == 0) return true;
  if ((last + 1) * size_of(x.dtype()) > x.storage_bytes()) return false;
  const std::string bytes = bytes_of(x);
  return !x.is_contiguous() || x.dtype() == DType::i64 || file.find(bytes) != file.npos;
}

}  // namespace

TEST_CASE("torch file: no mutated file crashes the reader or is accepted wrongly") {
  const TempDir dir;
  const std::string path = dir / "mutant";
  const std::array<Parts, 3> seeds = {small_file(), parts_of("tests/golden/torch_state_dict.pt"),
                                      parts_of("tests/golden/torch_script.pt")};
  std::mt19937_64 random(1);
  int accepted = 0, wrong = 0, unnamed = 0, past_checksums = 0;
  for (int i = 0; i < kMutants; ++i) {
    const std::string bytes = mutant(seeds[random() % seeds.size()], random);
    put_file(path, bytes);
    try {
      const std::vector<NamedTensor> loaded = load_torch(path);
      ++accepted;
      for (const auto& x : loaded) wrong += !lies_inside(x.tensor, bytes);
    } catch (const Error& e) {
      unnamed += !contains(e.what(), path);
      past_checksums += !contains(e.what(), "zip") && !contains(e.what(), "CRC");
    }
  }
  CHECK(accepted > kMutants / 10);
  CHECK(accepted + past_checksums > kMutants / 2);  // most mutants reach the pickle and the tensors
  CHECK(past_checksums > kMutants / 5);
  CHECK(wrong == 0);
  CHECK(unnamed == 0);
}
