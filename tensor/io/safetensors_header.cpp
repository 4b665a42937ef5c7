// tensor/io/safetensors_header.cpp — a strict reader of the safetensors header: nothing is guessed.
#include "tensor/io/safetensors_header.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "tensor/io/file.h"

namespace diptych::detail {
namespace {

const FileType* find_type(std::string_view name) {
  for (const FileType& type : kFileTypes)
    if (name == type.name) return &type;
  return nullptr;
}

/// Receives the events of the JSON parser. Each is legal in few places, so anything nested too
/// deep, of the wrong type or given twice is refused where it appears, before it is stored.
class HeaderParser final : public nlohmann::json_sax<nlohmann::json> {
 public:
  HeaderParser(const std::string& where, int64_t data_bytes)
      : where_(where), data_bytes_(data_bytes) {}

  SafeTensorsHeader result;

  bool start_object(size_t) override {
    if (place_ == Place::outside) {
      place_ = Place::top;
    } else if (place_ == Place::top) {
      place_ = key_ == "__metadata__" ? Place::metadata : Place::tensor;
      begin_member();
    } else {
      unexpected("an object");
    }
    return true;
  }

  bool key(std::string& text) override {
    require(text.find('\0') == std::string::npos, "a key contains a NUL: ", in_quotes(text));
    if (place_ == Place::tensor) begin_field(text);
    (place_ == Place::top ? key_ : field_) = std::move(text);
    return true;
  }

  bool end_object() override {
    if (place_ == Place::tensor) finish_tensor();
    place_ = place_ == Place::top ? Place::outside : Place::top;
    return true;
  }

  bool start_array(size_t) override {
    if (place_ != Place::tensor || field_ == "dtype") unexpected("a list");
    place_ = field_ == "shape" ? Place::shape : Place::offsets;
    return true;
  }

  bool end_array() override {
    if (place_ == Place::offsets) require_entry(offsets_ == 2, "needs two data_offsets");
    place_ = Place::tensor;
    return true;
  }

  bool number_unsigned(uint64_t value) override {
    if (place_ != Place::shape && place_ != Place::offsets) unexpected("a number");
    require_entry(value <= std::numeric_limits<int64_t>::max(), field_, " overflows: ", value);
    const auto number = static_cast<int64_t>(value);
    if (place_ == Place::shape) {
      require_entry(entry_.shape.rank() < Shape::kMaxRank, "has more than ", Shape::kMaxRank,
                    " dimensions");
      entry_.shape.push_back(number);
    } else {
      require_entry(offsets_ < 2, "needs two data_offsets, has more");
      (offsets_++ == 0 ? entry_.begin : entry_.end) = number;
    }
    return true;
  }

  bool string(std::string& text) override {
    if (place_ == Place::metadata) {
      require(result.metadata.size() < kMaxTensors, "more than ", kMaxTensors,
              " entries in __metadata__");
      const bool is_new = result.metadata.emplace(field_, std::move(text)).second;
      require(is_new, "__metadata__ has the key ", in_quotes(field_), " twice");
    } else if (place_ == Place::tensor && field_ == "dtype") {
      entry_.type = find_type(text);
      require_entry(entry_.type != nullptr, "has the dtype ", in_quotes(text),
                    ", which is not supported");
    } else {
      unexpected("a string");
    }
    return true;
  }

  bool number_integer(int64_t) override { unexpected("a negative number"); }
  bool number_float(double, const std::string&) override { unexpected("a fraction"); }
  bool boolean(bool) override { unexpected("true or false"); }
  bool null() override { unexpected("null"); }
  bool binary(nlohmann::json::binary_t&) override { unexpected("binary data"); }
  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception&) override {
    refuse("the header is not valid JSON in UTF-8, at its byte ", position);
  }

 private:
  enum class Place { outside, top, metadata, tensor, shape, offsets };

  template <class... Args>
  [[noreturn]] void refuse(const Args&... args) const {
    fail(where_, ": ", args...);
  }

  template <class... Args>
  void require(bool ok, const Args&... args) const {
    if (!ok) refuse(args...);
  }

  template <class... Args>
  void require_entry(bool ok, const Args&... args) const {
    if (!ok) refuse("tensor ", in_quotes(entry_.name), ' ', args...);
  }

  [[noreturn]] void unexpected(const char* what) const {
    if (place_ == Place::outside) refuse("the header is ", what, ", not an object");
    if (place_ == Place::top) refuse(in_quotes(key_), " is ", what, ", not an object");
    if (place_ == Place::metadata) refuse("__metadata__ ", in_quotes(field_), " is ", what);
    refuse("tensor ", in_quotes(entry_.name), ": ", field_, " has ", what, " where it must not");
  }

  void begin_member() {
    entry_ = HeaderEntry{};
    entry_.name = key_;
    has_dtype_ = has_shape_ = has_offsets_ = false;
    offsets_ = 0;
    if (place_ != Place::metadata) return;
    require(!std::exchange(has_metadata_, true), "__metadata__ appears twice");
  }

  void begin_field(const std::string& field) {
    bool* seen = field == "dtype"          ? &has_dtype_
                 : field == "shape"        ? &has_shape_
                 : field == "data_offsets" ? &has_offsets_
                                           : nullptr;
    require_entry(seen != nullptr, "has the unknown field ", in_quotes(field));
    require_entry(!std::exchange(*seen, true), "has the field ", field, " twice");
  }

  void finish_tensor() {
    require_entry(has_dtype_ && has_shape_ && has_offsets_, "lacks dtype, shape or data_offsets");
    require_entry(is_addressable(entry_.shape), "has a shape that overflows: ", entry_.shape);
    require_entry(entry_.begin <= entry_.end && entry_.end <= data_bytes_, "is at bytes [",
                  entry_.begin, ", ", entry_.end, ") of ", data_bytes_, " after the header");
    const int64_t bytes = entry_.shape.numel() * entry_.type->bytes;
    require_entry(entry_.end - entry_.begin == bytes, "has ", entry_.end - entry_.begin,
                  " bytes; its shape ", entry_.shape, " of ", entry_.type->name, " needs ", bytes);
    require(result.entries.size() < kMaxTensors, "more than ", kMaxTensors, " tensors");
    result.entries.push_back(std::move(entry_));
  }

  const std::string& where_;
  const int64_t data_bytes_;
  Place place_ = Place::outside;
  std::string key_, field_;
  HeaderEntry entry_;
  int offsets_ = 0;
  bool has_metadata_ = false, has_dtype_ = false, has_shape_ = false, has_offsets_ = false;
};

/// The JSON parser keeps a string up to four times while it reads it.
void check_strings(const std::string& where, std::string_view json) {
  for (size_t begin = json.find('"'); begin != json.npos; begin = json.find('"', begin + 1)) {
    const size_t from = begin;
    while ((begin = json.find_first_of("\"\\", begin + 1)) != json.npos && json[begin] == '\\')
      ++begin;
    check(std::min(begin, json.size()) - from <= kMaxString, where,
          ": the header has a text of more than ", kMaxString, " bytes");
    if (begin == json.npos) return;
  }
}

void check_unique(const std::string& where, const std::vector<HeaderEntry>& entries) {
  std::vector<std::string_view> names;
  for (const HeaderEntry& entry : entries) names.push_back(entry.name);
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end()) fail(where, ": tensor ", in_quotes(*twice), " appears twice");
}

/// Sorts by position and checks that each tensor begins where the one before ends.
void check_cover(const std::string& where, std::vector<HeaderEntry>& entries, int64_t data_bytes) {
  std::sort(entries.begin(), entries.end(), [](const HeaderEntry& a, const HeaderEntry& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  int64_t end = 0;
  for (const HeaderEntry& entry : entries) {
    check(entry.begin == end, where, ": tensor ", in_quotes(entry.name), " begins at byte ",
          entry.begin, ", the one before ends at ", end, "; holes and overlaps are not allowed");
    end = entry.end;
  }
  check(end == data_bytes, where, ": ", data_bytes - end,
        " bytes are left over after the last tensor");
}

}  // namespace

SafeTensorsHeader parse_safetensors_header(const std::string& where, const std::string& json,
                                           int64_t data_bytes) {
  // The JSON parser would skip a byte order mark and take a NUL for the end of the text.
  const size_t first = json.find_first_not_of(" \t\r\n");
  check(first != std::string::npos && json[first] == '{' && json.find('\0') == std::string::npos,
        where, ": the header is not a JSON object");
  check_strings(where, json);
  HeaderParser parser(where, data_bytes);
  nlohmann::json::sax_parse(json, &parser);
  check_unique(where, parser.result.entries);
  check_cover(where, parser.result.entries, data_bytes);
  return std::move(parser.result);
}

}  // namespace diptych::detail
