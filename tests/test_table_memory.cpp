// tests/test_table_memory.cpp — a table of captions is in memory once.
#include <doctest/doctest.h>

#include <filesystem>

#include "clip/data_source.h"
#include "tests/files.h"
#include "tests/memory.h"

using namespace diptych;
using namespace diptych::test;

#ifdef DIPTYCH_MEASURES_MEMORY

namespace {

/// Rows as those of Conceptual Captions: 86 bytes, of which the text of a pair is 84.
std::string table_of(int64_t rows) {
  std::string table = "filepath\ttitle\n";
  for (int64_t i = 0; i < rows; ++i) {
    const std::string number = std::to_string(1'000'000'000 + i);
    table += "pictures/" + number + ".jpg\ta photo of a thing by the sea, and number " + number +
             " of many\n";
  }
  return table;
}

}  // namespace

TEST_CASE("table memory: it is held once, also while it is opened") {
  const TempDir dir;
  put_file(dir / "t.tsv", table_of(200'000));
  const auto size = static_cast<double>(std::filesystem::file_size(dir / "t.tsv"));
  const int64_t before = bytes_held();
  DataSource data;
  const int64_t peak = peak_growth([&] {
    data = open_training_data(dir / "t.tsv", PairOptions{}, Preprocess{}, ImageLimits{}, 0);
  });
  CHECK(data.dataset->size() == 200'000);
  // Beside the text 16 bytes a pair, and a piece of the file; 4 MiB are the kernel's batches.
  CHECK(static_cast<double>(bytes_held() - before) < 1.25 * size);
  CHECK(static_cast<double>(peak) < 1.3 * size + (4 << 20));
  int64_t walked = 0;
  const int64_t growth = peak_growth([&] {
    data.captions([&](std::string_view caption) { walked += caption.ends_with(" of many"); });
  });
  CHECK(walked == 200'000);
  CHECK(growth < 1 << 20);
}

#endif
