// tests/test_file_read.cpp — reading with bounds, and file names in messages.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include "tensor/io/text_file.h"
#include "tests/files.h"

using namespace diptych;
using namespace diptych::test;

TEST_CASE("file: read_file reads all, up to the limit") {
  const TempDir dir;
  const std::string path = dir / "file";
  for (const size_t size : {0, 1, 65535, 65536, 65537, 300000}) {
    const std::string bytes(size, 'x');
    put_file(path, bytes);
    CHECK(read_file(path, 1 << 20) == bytes);
    CHECK(read_file(path, static_cast<int64_t>(size)) == bytes);
  }
  CHECK(contains(error_of([&] { read_file(path, 299999); }), "is larger than the limit of 299999"));
  CHECK(contains(read_file("/proc/self/status", 1 << 20), "VmRSS"));  // says that it has 0 bytes
  CHECK(contains(error_of([] { read_file("/proc/self/status", 99); }), "the limit of 99"));
  CHECK(contains(error_of([] { read_file("/dev/zero", 1 << 20); }), "is not a regular file"));
  CHECK(contains(error_of([&] { read_file(dir.path(), 1); }), "' is a directory"));
  CHECK(contains(error_of([&] { read_file(dir / "none", 1); }), "No such file or directory"));
}

TEST_CASE("file: a file of a terabyte is refused before memory is spent on it") {
  const TempDir dir;
  put_file(dir / "sparse", "x");
  std::filesystem::resize_file(dir / "sparse", uintmax_t{1} << 40);
  CHECK(contains(error_of([&] { read_file(dir / "sparse", 1 << 20); }), "limit of 1048576"));
  CHECK(contains(error_of([&] { read_lines(dir / "sparse", 1 << 20); }), "limit of 1048576"));
}

TEST_CASE("file: what a path leads to, also where nothing can be found out") {
  const TempDir dir;
  put_file(dir / "file", "");
  std::filesystem::create_symlink("file", dir / "link");
  std::filesystem::create_symlink("circle", dir / "circle");
  CHECK(is_file(dir / "file"));
  CHECK(is_file(dir / "link"));
  CHECK(is_folder(dir.path()));
  for (const char* name : {"circle", "none", "file/below"}) {
    CHECK_FALSE(is_file(dir / name));
    CHECK_FALSE(is_folder(dir / name));
  }
}

TEST_CASE("file: InputFile reads exactly what is there") {
  const TempDir dir;
  put_file(dir / "file", "0123456789");
  const InputFile file("load", dir / "file");
  CHECK(file.size() == 10);
  char bytes[4];
  file.read_at(6, bytes, 4);
  CHECK(std::string(bytes, 4) == "6789");
  CHECK(contains(error_of([&] { file.read_at(7, bytes, 4); }), "file' ends too early, at byte 10"));
  CHECK(contains(error_of([&] { file.read_at(-1, bytes, 4); }), "negative"));
  std::filesystem::resize_file(dir / "file", 3);  // another process cut it
  CHECK(contains(error_of([&] { file.read_at(0, bytes, 4); }), "ends too early, at byte 3"));
}

TEST_CASE("file: InputFile refuses what is no regular file, without waiting for a pipe") {
  const TempDir dir;
  REQUIRE(mkfifo((dir / "pipe").c_str(), 0600) == 0);
  CHECK(
      contains(error_of([&] { InputFile("load", dir / "pipe"); }), "pipe' is not a regular file"));
  CHECK(contains(error_of([&] { InputFile("load", dir.path()); }), "is a directory"));
  CHECK(contains(error_of([&] { InputFile("load", dir / "none"); }), "No such file"));
}

TEST_CASE("file: 32-bit integers are widened in place") {
  const TempDir dir;
  const std::vector<int32_t> narrow = {1, -1, INT32_MIN, INT32_MAX, 0, 7, -8};
  put_file(dir / "file", std::string(reinterpret_cast<const char*>(narrow.data()), 28));
  for (const size_t count : {0, 1, 2, 3, 7}) {
    std::vector<int64_t> wide(count);
    InputFile("load", dir / "file").read_i32_at(0, wide.data(), static_cast<int64_t>(count));
    CHECK(wide == std::vector<int64_t>(narrow.begin(), narrow.begin() + static_cast<int>(count)));
  }
}

TEST_CASE("file: quoted text is safe to print and short") {
  CHECK(in_quotes("abc") == "'abc'");
  CHECK(in_quotes(std::string_view("a\0\n\x1b\x7f", 5)) == "'a\\x00\\x0a\\x1b\\x7f'");
  CHECK(in_quotes(std::string(81, 'x')) == "'" + std::string(80, 'x') + "…'");
  CHECK(in_quotes(std::string(79, 'x') + "é") == "'" + std::string(79, 'x') + "…'");
}
