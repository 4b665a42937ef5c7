// data/text/unicode.h — UTF-8, and what Python knows about code points.
#pragma once

#include <string>
#include <string_view>

namespace diptych {

/// Code points of a UTF-8 string. What is not UTF-8 becomes U+FFFD, one per maximal bad sequence,
/// as Python's bytes.decode(errors="replace").
std::u32string decode_utf8(std::string_view);
std::string encode_utf8(std::u32string_view);

bool is_space(char32_t);   ///< Python's str.isspace: White_Space and U+001C … U+001F
bool is_letter(char32_t);  ///< \p{L}
bool is_digit(char32_t);   ///< \p{Nd}
bool is_number(char32_t);  ///< \p{N}

/// Python's str.lower: İ becomes i + U+0307, a Σ at the end of a word becomes ς.
std::u32string lower_case(std::u32string_view);

/// Normal form C: letters and their marks become single characters where there are such.
std::u32string nfc(std::u32string_view);
/// One character's compatible decomposition (NFKD).
std::u32string compatible_form(char32_t);

}  // namespace diptych
