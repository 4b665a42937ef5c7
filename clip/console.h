// clip/console.h — the two streams of a program: results, which must arrive, and what is told
// beside them, which may be lost.
#pragma once

#include <string>
#include <string_view>

namespace diptych {

/// Before anything is opened: streams that came closed get a place holder, on which every read and
/// write fails, so that no file of ours takes their numbers and gets their text; and writing to a
/// closed pipe, or beyond the limit for files (ulimit -f), is an error of that write and no signal.
void prepare_streams();

/// A result, to stdout, as it is. Throws Error if it cannot be written.
void print(std::string_view text);
/// Throws Error if something that was printed has not arrived, unless print() has said so already.
void finish_printing();

/// For people, to stderr, as it is. Never throws: nothing depends on it.
void tell(std::string_view text) noexcept;

/// `x`, if it is a number: throws Error, naming `what`, for NaN and infinity, which no command may
/// give as a result.
double require_number(double x, const std::string& what);

/// The same for every number in a JSON value, nlohmann's, which would say `null` instead.
template <class Json>
void require_numbers(const Json& value, const std::string& name) {
  if (value.is_number_float()) require_number(value.template get<double>(), name);
  if (!value.is_structured()) return;
  for (const auto& [key, part] : value.items())
    require_numbers(part, name.empty() ? key : name + '.' + key);
}

/// One JSON object on a line of its own, to stdout. Throws Error, naming the key, for NaN and
/// infinity.
template <class Json>
void print_json(const Json& object) {
  require_numbers(object, "");
  print(object.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n');
}

}  // namespace diptych
