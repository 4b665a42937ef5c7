// data/csv.cpp — the state machine of pandas' C parser, reduced to its defaults.
#include "data/csv.h"

#include "tensor/types.h"

namespace diptych {
namespace {

class CsvParser {
 public:
  CsvParser(std::string_view text, char separator, const std::string& name)
      : text_(text), separator_(separator), name_(name) {
    if (text_.starts_with("\xEF\xBB\xBF")) pos_ = 3;
  }

  void run(const std::function<void(const CsvRow&)>& take) {
    while (pos_ < text_.size()) {
      if (take_line_end()) continue;  // an empty line
      take(row());
    }
  }

 private:
  CsvRow row() {
    CsvRow out{line_, {}};
    while (true) {
      out.fields.push_back(field());
      if (pos_ == text_.size() || take_line_end()) return out;
      ++pos_;  // the separator
    }
  }

  // A quote counts only at the start of a field. What follows a closing quote belongs to the field.
  std::string field() {
    std::string out;
    if (pos_ < text_.size() && text_[pos_] == '"') read_quoted(out);
    while (pos_ < text_.size() && text_[pos_] != separator_ && !at_line_end())
      out.push_back(text_[pos_++]);
    return out;
  }

  void read_quoted(std::string& out) {
    const int64_t opened = line_;
    ++pos_;
    while (true) {
      check(pos_ < text_.size(), "csv: ", name_, ":", opened,
            ": a quoted field is never closed; double a '\"' inside a field");
      if (text_[pos_] == '"' && !text_.substr(pos_).starts_with("\"\"")) break;
      if (text_[pos_] == '"') ++pos_;
      if (text_[pos_] == '\n') ++line_;
      out.push_back(text_[pos_++]);
    }
    ++pos_;
  }

  bool at_line_end() const { return text_[pos_] == '\n' || text_[pos_] == '\r'; }

  bool take_line_end() {
    if (!at_line_end()) return false;
    pos_ += text_.substr(pos_).starts_with("\r\n") ? size_t{2} : size_t{1};
    ++line_;
    return true;
  }

  std::string_view text_;
  char separator_;
  const std::string& name_;
  size_t pos_ = 0;
  int64_t line_ = 1;
};

}  // namespace

void parse_csv(std::string_view text, char separator, const std::string& name,
               const std::function<void(const CsvRow&)>& take) {
  CsvParser(text, separator, name).run(take);
}

}  // namespace diptych
