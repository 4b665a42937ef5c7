// data/text/clean.cpp — OpenAI's basic_clean and whitespace_clean.
#include "data/text/clean.h"

#include "data/text/fix.h"
#include "data/text/html_entities.h"
#include "data/text/unicode.h"

namespace diptych {

std::u32string collapse_spaces(std::u32string_view text) {
  std::u32string out;
  for (char32_t c : text) {
    if (!is_space(c)) {
      out.push_back(c);
    } else if (!out.empty() && out.back() != ' ') {
      out.push_back(' ');
    }
  }
  if (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

std::u32string clean_text(std::string_view utf8) {
  const std::u32string fixed = fix_text(decode_utf8(utf8));
  return lower_case(collapse_spaces(unescape_html(unescape_html(fixed))));
}

}  // namespace diptych
