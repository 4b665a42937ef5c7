// tensor/io/json.h — JSON that nobody vouches for.
#pragma once

#include <string>
#include <string_view>

namespace diptych {

/// Throws Error, starting with `where`, unless the text is one JSON value that everybody reads
/// alike, in bounded time and memory, and can print again: valid UTF-8, no key twice in an object,
/// no number that f64 cannot hold, nested at most 64 deep (libraries print a value by recursion),
/// at most `max_keys` in an object (nlohmann::ordered_json looks through all of them for each), a
/// million values. To be called before JSON of a stranger is parsed.
void check_json(const std::string& where, std::string_view text, size_t max_keys = 4096);

}  // namespace diptych
