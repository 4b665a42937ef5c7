// data/csv.h — separated values as pandas reads them.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace diptych {

/// One record of a table.
struct CsvRow {
  int64_t line = 0;  ///< where it starts, from 1
  std::vector<std::string> fields;
};

/// Calls `take` with the records of a table, one after the other: fields may be quoted with '"' and
/// then hold separators, line ends and doubled quotes; lines end in LF, CR LF or CR; empty lines
/// and a byte order mark are skipped. Throws Error with `name`:line if a quote is never closed.
void parse_csv(std::string_view text, char separator, const std::string& name,
               const std::function<void(const CsvRow&)>& take);

}  // namespace diptych
