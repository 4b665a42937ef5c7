// tests/test_csv.cpp — tables as pandas reads them.
#include <doctest/doctest.h>

#include "data/csv.h"
#include "tests/files.h"

using namespace diptych;
using namespace diptych::test;

namespace {

std::vector<std::vector<std::string>> fields_of(std::string_view text, char separator = ',') {
  std::vector<std::vector<std::string>> rows;
  parse_csv(text, separator, "t", [&](const CsvRow& row) { rows.push_back(row.fields); });
  return rows;
}

using Rows = std::vector<std::vector<std::string>>;

}  // namespace

TEST_CASE("csv: fields are quoted as pandas reads them") {
  CHECK(fields_of("a,b\n1,2\n") == Rows{{"a", "b"}, {"1", "2"}});
  CHECK(fields_of("a,b\r\n1,2\r\n\r\n\n3,4") == Rows{{"a", "b"}, {"1", "2"}, {"3", "4"}});
  CHECK(fields_of("\"x, \"\"y\"\"\nz\",2") == Rows{{"x, \"y\"\nz", "2"}});
  CHECK(fields_of("\"a\"b,c\"d\",\"\"") == Rows{{"ab", "c\"d\"", ""}});
  CHECK(fields_of("\xEF\xBB\xBF"
                  "a,\n,b\n") == Rows{{"a", ""}, {"", "b"}});
  CHECK(fields_of("a\tb,c\n", '\t') == Rows{{"a", "b,c"}});
  CHECK(fields_of("") == Rows{});
  CHECK(contains(error_of([] { fields_of("a\nb,\"c\n"); }), "t:2"));
}

TEST_CASE("csv: rows know their line, also behind fields with line ends") {
  const auto lines = [](const char* text) {
    std::vector<int64_t> found;
    parse_csv(text, ',', "t", [&](const CsvRow& row) { found.push_back(row.line); });
    return found;
  };
  CHECK(lines("a\n\n\"b\nc\"\nd\n") == std::vector<int64_t>{1, 3, 5});
  CHECK(lines("a\r\nb\r\n\r\nc") == std::vector<int64_t>{1, 2, 4});
}

TEST_CASE("csv: cut anywhere into pieces, a table is the same table") {
  const std::string table =
      "\xEF\xBB\xBF"
      "a,b\r\n\r\n1,\"x \"\"y\"\" \r\n z\"\r\"q\"r,s\n\n,\"\"\rlast,\"\n\"";
  const auto rows_of = [&](size_t piece) {
    std::vector<std::pair<int64_t, std::vector<std::string>>> rows;
    CsvReader reader(',', "t", [&](const CsvRow& row) { rows.emplace_back(row.line, row.fields); });
    reader.feed(table.substr(0, 3));  // the byte order mark
    for (size_t at = 3; at < table.size(); at += piece) reader.feed(table.substr(at, piece));
    reader.finish();
    return rows;
  };
  const auto whole = rows_of(table.size());
  REQUIRE(whole.size() == 5);
  CHECK(whole[1].second == std::vector<std::string>{"1", "x \"y\" \r\n z"});
  CHECK(whole[4].first == 8);
  for (size_t piece = 1; piece < table.size(); ++piece) CHECK(rows_of(piece) == whole);
}

TEST_CASE("csv: a long field is cut so that it shows, the others stay") {
  for (const char* quote : {"", "\""}) {
    const auto row = [&](size_t bytes) {
      return fields_of(std::string("a,") + quote + std::string(bytes, 'x') + quote + ",b\n")[0];
    };
    CHECK(row(kMaxFieldBytes)[1].size() == kMaxFieldBytes);
    CHECK(row(kMaxFieldBytes + 1)[1].size() == kMaxFieldBytes + 1);
    CHECK(row(50 * kMaxFieldBytes)[1].size() == kMaxFieldBytes + 1);
    CHECK(row(50 * kMaxFieldBytes)[2] == "b");
  }
}

TEST_CASE("csv: a record without end is refused, with the line where it began") {
  const auto error_after = [](const std::string& piece, int pieces) {
    CsvReader reader(',', "t", [](const CsvRow&) {});
    return error_of([&] {
      reader.feed("a\n");
      for (int i = 0; i < pieces; ++i) reader.feed(piece);
    });
  };
  const std::string letters(1 << 20, 'x');
  CHECK(error_after(letters, 128) == "");
  CHECK(contains(error_after(letters, 129), "t:2: a row that goes on for 135266304 bytes"));
  CHECK(
      contains(error_after(std::string(1 << 16, ','), 2), "t:2: a row of more than 65536 fields"));
  const std::string wide = std::string(1 << 15, 'x') + ',';  // each field shorter than the limit
  CHECK(error_after(wide, 500) == "");
  CHECK(contains(error_after(wide, 600), "t:2: a row that goes on"));
}
