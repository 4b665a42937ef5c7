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
