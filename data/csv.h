// data/csv.h — separated values as pandas reads them.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace diptych {

/// One record of a table.
struct CsvRow {
  int64_t line = 0;  ///< where it starts, from 1
  std::vector<std::string> fields;
};

/// A longer field is cut behind the byte that makes it too long, so that whoever takes it sees that
/// it is.
inline constexpr size_t kMaxFieldBytes = size_t{1} << 16;

/// Reads a table piece by piece: fields may be quoted with '"' and then hold separators, line ends
/// and doubled quotes; lines end in LF, CR LF or CR; empty lines and a byte order mark are skipped.
/// Memory is bounded by one record: of 65,536 fields and 16 MiB with long ones cut, and of 128 MiB
/// as it stands in the file.
class CsvReader {
 public:
  using Take = std::function<void(const CsvRow&)>;

  /// `name` appears in messages; `take` gets each record as soon as it is complete.
  CsvReader(char separator, std::string name, Take take)
      : separator_(separator), name_(std::move(name)), take_(std::move(take)) {}

  /// The next bytes; the first piece holds the whole of a byte order mark. Throws Error with
  /// `name`:line on a record beyond the bounds.
  void feed(std::string_view bytes);
  /// The end of the table. Throws Error with `name`:line if a quote was never closed.
  void finish();

 private:
  enum class State { row_start, field_start, plain, quoted, quote_in_quoted };

  size_t step(std::string_view in);
  size_t start_row(char c);
  size_t take_plain(std::string_view in);
  size_t take_quoted(std::string_view in);
  size_t end_line(char c);
  void append(std::string_view bytes);
  void end_field();
  void end_row();

  char separator_;
  std::string name_;
  Take take_;
  State state_ = State::row_start;
  bool at_start_ = true, after_cr_ = false;
  int64_t line_ = 1, opened_ = 0;          // opened_: where the last quote did
  size_t row_bytes_ = 0, kept_bytes_ = 0;  // of the record under way
  std::string field_;
  CsvRow row_;
};

/// The records of a table in memory.
void parse_csv(std::string_view text, char separator, const std::string& name,
               const CsvReader::Take& take);

}  // namespace diptych
