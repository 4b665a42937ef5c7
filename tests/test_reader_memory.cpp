// tests/test_reader_memory.cpp — what a file announces costs nothing: readers of hostile files stay
// within the size of the file and 64 MiB.
#include <doctest/doctest.h>

#include <filesystem>

#include "tensor/io/torch_file.h"
#include "tests/files.h"
#include "tests/memory.h"
#include "tests/torch_files.h"

using namespace diptych;
using namespace diptych::test;

#ifdef DIPTYCH_MEASURES_MEMORY

namespace {

std::string repeated(const std::string& text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

/// Loads a file and holds its peak to the bound; `message` is part of the Error, empty if there
/// must be none.
template <class Load>
void check_bounded(const std::string& path, const Load& load, const std::string& message) {
  const auto size = static_cast<int64_t>(std::filesystem::file_size(path));
  std::string error;
  const int64_t growth = peak_growth([&] { error = error_of([&] { load(path); }); });
  CHECK_MESSAGE(contains(error, message), error);
  CHECK(error.empty() == message.empty());
  CHECK_MESSAGE(growth <= size + (int64_t{64} << 20), growth);
}

void check_torch(const std::string& bytes, const std::string& message) {
  const TempDir dir;
  put_file(dir / "x.pt", bytes);
  check_bounded(
      dir / "x.pt", [](const std::string& path) { load_torch(path); }, message);
}

}  // namespace

TEST_CASE("reader memory: the measure sees what is allocated") {
  const auto growth = [](size_t bytes) { return peak_growth([&] { std::string(bytes, 'x'); }); };
  CHECK(growth(100 << 20) >= 99 << 20);  // the kernel counts in batches of pages
  CHECK(growth(0) < 8 << 20);
}

TEST_CASE("reader memory: announced sizes are compared with the file first") {
  const std::string float_64_gib = storage("FloatStorage", "0", int64_t{1} << 34);
  const std::string x = tensor(float_64_gib, 0, {int64_t{1} << 34}, {1});
  check_torch(torch_file(pickle_of(dict({{"x", x}})), {"1234"}).bytes, "has 4 bytes instead of");
  const std::string view = tensor(storage("FloatStorage", "0", 1), 0, {int64_t{1} << 34}, {0});
  check_torch(torch_file(pickle_of(dict({{"x", view}})), {"1234"}).bytes, "leaves its storage");
  Zip wide = torch_file(pickle_of(dict({{"x", floats("0", 1)}})), {"1234"});
  wide.set(wide.central[1] + zip_field::stored_size, uint32_t{0xfffffff0});
  wide.set(wide.central[1] + zip_field::size, uint32_t{0xfffffff0});
  check_torch(wide.bytes, "does not fit in the file");
  check_torch(torch_file("X\xf0\xff\xff\xff", {}).bytes, "the pickle is cut short");
}

TEST_CASE("reader memory: the largest pickles that are accepted") {
  const std::string good = floats("0", 1);
  const auto with = [&](const std::string& values) {
    return torch_file(pickle_of(dict({{"x", good}, {"y", values}})), {"1234"}).bytes;
  };
  check_torch(with("(" + repeated("N", 262'000) + "t"), "");
  check_torch(with("(" + repeated("]Na", 131'000) + "t"), "");         // small lists
  check_torch(with("(Nq\1](" + repeated("h\1", 262'100) + "et"), "");  // a large one
  check_torch(with("(" + repeated("Nr" + little_endian(262'143), 262'000) + "t"), "");
  check_torch(with(text(std::string(60 << 20, 'x'))), "");
}

TEST_CASE("reader memory: the largest directories and the most tensors that are accepted") {
  std::vector<ZipPart> parts = {{"m/data.pkl", pickle_of(dict({{"x", floats("0", 1)}}))},
                                {"m/data/0", "1234"}};
  while (parts.size() < 65'535) parts.push_back({std::to_string(parts.size()), ""});
  check_torch(zip_of(parts).bytes, "");
  std::string tree = module({{"x", floats("0", 1)}});  // 2¹⁴ tensors with names of 500 bytes
  for (int i = 0; i < 14; ++i)
    tree = module({{std::string(35, 'a'), tree + "q\1"}, {std::string(35, 'b'), "h\1"}});
  check_torch(torch_file(pickle_of(tree), {"1234"}).bytes, "");
}

TEST_CASE("reader memory: a file of a terabyte that holds nothing") {
  const TempDir dir;
  put_file(dir / "sparse", "PK\3\4");
  std::filesystem::resize_file(dir / "sparse", uintmax_t{1} << 40);
  std::string error;
  CHECK(peak_growth([&] { error = error_of([&] { load_torch(dir / "sparse"); }); }) < 1 << 20);
  CHECK(contains(error, "the end of the zip file is missing"));
}

#endif
