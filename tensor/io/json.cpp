// tensor/io/json.cpp — a JSON parser that keeps nothing but the keys of what is open.
#include "tensor/io/json.h"

#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "tensor/io/file.h"
#include "tensor/types.h"

namespace diptych {
namespace {

class Checker final : public nlohmann::json_sax<nlohmann::json> {
 public:
  Checker(const std::string& where, size_t max_keys) : where_(where), max_keys_(max_keys) {}

  bool start_object(size_t) override { return open(); }
  bool end_object() override { return close(); }
  bool start_array(size_t) override { return open(); }
  bool end_array() override { return close(); }

  bool key(std::string& text) override {
    check(keys_.back().size() < max_keys_, where_, ": an object of more than ", max_keys_, " keys");
    const bool is_new = keys_.back().insert(text).second;
    check(is_new, where_, ": the key ", in_quotes(text), " stands twice in one object");
    return true;
  }

  bool null() override { return count(); }
  bool boolean(bool) override { return count(); }
  bool number_integer(int64_t) override { return count(); }
  bool number_unsigned(uint64_t) override { return count(); }
  bool number_float(double, const std::string&) override { return count(); }
  bool string(std::string&) override { return count(); }
  bool binary(nlohmann::json::binary_t&) override { return false; }

  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception&) override {
    fail(where_, ": not valid JSON in UTF-8, at its byte ", position);
  }

 private:
  static constexpr size_t kMaxDepth = 64, kMaxValues = 1 << 20;

  bool count() {
    check(++values_ <= kMaxValues, where_, ": JSON of more than ", kMaxValues, " values");
    return true;
  }

  bool open() {
    check(keys_.size() < kMaxDepth, where_, ": JSON that is nested deeper than ", kMaxDepth);
    keys_.emplace_back();
    return count();
  }

  bool close() {
    keys_.pop_back();
    return true;
  }

  const std::string& where_;
  const size_t max_keys_;
  size_t values_ = 0;
  std::vector<std::set<std::string>> keys_;  // of each object that is open
};

}  // namespace

void check_json(const std::string& where, std::string_view text, size_t max_keys) {
  // The parser would take a NUL for the end of the text.
  check(text.find('\0') == text.npos, where, ": not valid JSON, it contains a NUL");
  Checker checker(where, max_keys);
  nlohmann::json::sax_parse(text, &checker);
}

}  // namespace diptych
