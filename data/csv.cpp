// data/csv.cpp — the state machine of pandas' C parser, reduced to its defaults.
#include "data/csv.h"

#include <algorithm>
#include <utility>

#include "tensor/types.h"

namespace diptych {
namespace {

constexpr size_t kMaxFields = size_t{1} << 16, kMaxKeptBytes = size_t{16} << 20,
                 kMaxRowBytes = size_t{128} << 20;

bool is_line_end(char c) { return c == '\n' || c == '\r'; }

}  // namespace

void CsvReader::feed(std::string_view bytes) {
  if (at_start_ && bytes.starts_with("\xEF\xBB\xBF")) bytes.remove_prefix(3);
  at_start_ = at_start_ && bytes.empty();
  while (!bytes.empty()) bytes.remove_prefix(step(bytes));
}

void CsvReader::finish() {
  check(state_ != State::quoted, "csv: ", name_, ":", opened_,
        ": a quoted field is never closed; double a '\"' inside a field");
  if (state_ == State::row_start) return;
  end_field();
  end_row();
}

// Returns how many bytes it used up; 0 if it only changed the state.
size_t CsvReader::step(std::string_view in) {
  switch (state_) {
    case State::row_start:
      return start_row(in[0]);
    case State::field_start:  // a quote counts only here
      state_ = in[0] == '"' ? State::quoted : State::plain;
      opened_ = line_;
      return in[0] == '"';
    case State::quoted:
      return take_quoted(in);
    case State::quote_in_quoted:  // the first of two stands for one; else what follows is plain
      state_ = in[0] == '"' ? State::quoted : State::plain;
      if (in[0] == '"') append("\"");
      return in[0] == '"';
    default:
      return take_plain(in);
  }
}

size_t CsvReader::start_row(char c) {
  if (std::exchange(after_cr_, false) && c == '\n') return 1;
  if (is_line_end(c)) return end_line(c);  // an empty line
  row_.line = line_;
  state_ = State::field_start;
  return 0;
}

size_t CsvReader::take_plain(std::string_view in) {
  const auto ends = [this](char c) { return c == separator_ || is_line_end(c); };
  const auto end = std::find_if(in.begin(), in.end(), ends);
  const auto length = static_cast<size_t>(end - in.begin());
  append(in.substr(0, length));
  if (length == in.size()) return length;
  end_field();
  state_ = State::field_start;
  if (*end == separator_) return length + 1;
  end_row();
  return length + end_line(*end);
}

size_t CsvReader::take_quoted(std::string_view in) {
  const size_t length = std::min(in.find('"'), in.size());
  const std::string_view inside = in.substr(0, length);
  line_ += std::count(inside.begin(), inside.end(), '\n');
  append(inside);
  if (length == in.size()) return length;
  state_ = State::quote_in_quoted;
  return length + 1;
}

size_t CsvReader::end_line(char c) {
  ++line_;
  after_cr_ = c == '\r';
  state_ = State::row_start;
  return 1;
}

void CsvReader::append(std::string_view bytes) {
  row_bytes_ += bytes.size();
  const std::string_view kept = bytes.substr(0, kMaxFieldBytes + 1 - field_.size());
  kept_bytes_ += kept.size();
  check(row_bytes_ <= kMaxRowBytes && kept_bytes_ <= kMaxKeptBytes, "csv: ", name_, ":", row_.line,
        ": a row that goes on for ", row_bytes_, " bytes; is a quote never closed?");
  field_ += kept;
}

void CsvReader::end_field() {
  check(row_.fields.size() < kMaxFields, "csv: ", name_, ":", row_.line, ": a row of more than ",
        kMaxFields, " fields; is it separated by something else?");
  row_.fields.push_back(std::move(field_));
  field_.clear();
}

void CsvReader::end_row() {
  take_(row_);
  row_.fields.clear();
  row_bytes_ = kept_bytes_ = 0;
}

void parse_csv(std::string_view text, char separator, const std::string& name,
               const CsvReader::Take& take) {
  CsvReader reader(separator, name, take);
  reader.feed(text);
  reader.finish();
}

}  // namespace diptych
