// data/text_clean.h — from bytes to the text a tokenizer sees: UTF-8, HTML entities, spaces, case.
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
bool is_number(char32_t);  ///< \p{N}

/// Python's html.unescape for numeric references and the common named ones.
std::u32string unescape_html(std::u32string_view);
/// Runs of white space become one space; none at either end.
std::u32string collapse_spaces(std::u32string_view);
/// Python's str.lower: İ becomes i + U+0307, a Σ at the end of a word becomes ς.
std::u32string lower_case(std::u32string_view);

/// CLIP's cleaning: entities unescaped twice, white space collapsed, lower case. Mojibake is not
/// repaired (the original runs ftfy first).
std::u32string clean_text(std::string_view utf8);

}  // namespace diptych
