// data/text/unicode.cpp — UTF-8, categories, case and normal forms, as Python has them.
#include "data/text/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>

namespace diptych {
namespace {

constexpr char32_t kReplacement = 0xFFFD;

// What a lead byte promises: how many bytes follow and the range of the first of them, which rules
// out overlong forms, surrogates and values above U+10FFFF (Unicode 15, table 3-7).
struct Lead {
  int follow;
  uint8_t low, high;
};

Lead lead_of(uint8_t byte) {
  if (byte >= 0xC2 && byte <= 0xDF) return {1, 0x80, 0xBF};
  if (byte == 0xE0) return {2, 0xA0, 0xBF};
  if (byte == 0xED) return {2, 0x80, 0x9F};
  if (byte >= 0xE1 && byte <= 0xEF) return {2, 0x80, 0xBF};
  if (byte == 0xF0) return {3, 0x90, 0xBF};
  if (byte >= 0xF1 && byte <= 0xF3) return {3, 0x80, 0xBF};
  if (byte == 0xF4) return {3, 0x80, 0x8F};
  return {0, 0, 0};
}

// The code point at `pos`, which moves behind it; U+FFFD and the longest valid beginning if bad.
char32_t next_code_point(std::string_view text, size_t& pos) {
  const auto first = static_cast<uint8_t>(text[pos++]);
  if (first < 0x80) return first;
  auto [follow, low, high] = lead_of(first);
  if (follow == 0) return kReplacement;
  char32_t point = first & (0x3Fu >> follow);
  for (; follow > 0; --follow, low = 0x80, high = 0xBF) {
    if (pos == text.size()) return kReplacement;
    const auto byte = static_cast<uint8_t>(text[pos]);
    if (byte < low || byte > high) return kReplacement;
    point = point << 6 | (byte & 0x3Fu);
    ++pos;
  }
  return point;
}

utf8proc_category_t category(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

// Unicode's Cased property, for characters that are not Case_Ignorable.
bool is_cased(char32_t c) {
  switch (category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
      return true;
    default:
      return c == 0xAA || c == 0xBA || (c >= 0x2160 && c <= 0x217F) ||
             (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) ||
             (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189);
  }
}

// Unicode's Case_Ignorable property: marks, modifiers, formats, and punctuation inside words.
bool is_case_ignorable(char32_t c) {
  switch (category(c)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
      return true;
    default:
      return std::u32string_view(U"'.:\u0387·՟״‘’․‧︓﹒﹕＇．：").find(c) !=
             std::u32string_view::npos;
  }
}

// Whether the Σ at `pos` ends a word: letters before it, none after, looking past ignorable ones
// (Unicode 15, table 3-17, Final_Sigma).
bool is_final_sigma(std::u32string_view text, size_t pos) {
  size_t before = pos;
  while (before > 0 && is_case_ignorable(text[before - 1])) --before;
  if (before == 0 || !is_cased(text[before - 1])) return false;
  size_t after = pos + 1;
  while (after < text.size() && is_case_ignorable(text[after])) ++after;
  return after == text.size() || !is_cased(text[after]);
}

// The full canonical decomposition, or with UTF8PROC_COMPAT the compatible one.
std::u32string decompose(char32_t c, int options) {
  constexpr int kLongest = 18;  // U+FDFA
  std::array<utf8proc_int32_t, kLongest> parts;
  int unused = 0;
  const auto count = utf8proc_decompose_char(
      static_cast<utf8proc_int32_t>(c), parts.data(), kLongest,
      static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | options), &unused);
  return {parts.begin(), parts.begin() + count};
}

int combining_class(char32_t c) {
  return utf8proc_get_property(static_cast<utf8proc_int32_t>(c))->combining_class;
}

// Unicode's canonical order: runs of combining marks by their class. utf8proc's own way of sorting
// takes quadratic time, which a long run would make felt.
void sort_marks(std::u32string& text) {
  const auto is_mark = [](char32_t c) { return combining_class(c) != 0; };
  for (auto begin = text.begin(); begin != text.end();) {
    begin = std::find_if(begin, text.end(), is_mark);
    const auto end = std::find_if_not(begin, text.end(), is_mark);
    std::stable_sort(
        begin, end, [](char32_t a, char32_t b) { return combining_class(a) < combining_class(b); });
    begin = end;
  }
}

}  // namespace

std::u32string decode_utf8(std::string_view text) {
  std::u32string points;
  points.reserve(text.size());
  for (size_t pos = 0; pos < text.size();) points.push_back(next_code_point(text, pos));
  return points;
}

std::string encode_utf8(std::u32string_view points) {
  std::string text;
  text.reserve(points.size());
  for (char32_t c : points) {
    utf8proc_uint8_t bytes[4];
    const auto count = utf8proc_encode_char(static_cast<utf8proc_int32_t>(c), bytes);
    text.append(bytes, bytes + count);
  }
  return text;
}

bool is_space(char32_t c) {
  if (c < 0x80) return c == ' ' || (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x1F);
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_letter(char32_t c) {
  if (c < 0x80) return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
  const auto kind = category(c);
  return kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_LO;
}

bool is_digit(char32_t c) {
  return c < 0x80 ? c >= '0' && c <= '9' : category(c) == UTF8PROC_CATEGORY_ND;
}

bool is_number(char32_t c) {
  if (c < 0x80) return c >= '0' && c <= '9';
  const auto kind = category(c);
  return kind >= UTF8PROC_CATEGORY_ND && kind <= UTF8PROC_CATEGORY_NO;
}

std::u32string lower_case(std::u32string_view text) {
  std::u32string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const char32_t c = text[i];
    if (c == 0x3A3) {
      out.push_back(is_final_sigma(text, i) ? 0x3C2 : 0x3C3);
    } else {
      out.push_back(c == 0x130 ? U'i'
                               : static_cast<char32_t>(utf8proc_tolower(static_cast<int>(c))));
      if (c == 0x130) out.push_back(0x307);
    }
  }
  return out;
}

std::u32string compatible_form(char32_t c) { return decompose(c, UTF8PROC_COMPAT); }

std::u32string nfc(std::u32string_view text) {
  constexpr char32_t kFirstCombining = 0x300;  // nothing below it changes
  if (std::all_of(text.begin(), text.end(), [](char32_t c) { return c < kFirstCombining; }))
    return std::u32string(text);
  std::u32string points;
  points.reserve(text.size());
  for (char32_t c : text) points += decompose(c, 0);
  sort_marks(points);
  const auto length =
      utf8proc_normalize_utf32(reinterpret_cast<utf8proc_int32_t*>(points.data()),
                               static_cast<utf8proc_ssize_t>(points.size()),
                               static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  points.resize(static_cast<size_t>(length));
  return points;
}

}  // namespace diptych
