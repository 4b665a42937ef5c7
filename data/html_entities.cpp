// data/html_entities.cpp — Python's html.unescape for numeric and common named references.
#include <algorithm>
#include <array>

#include "data/text_clean.h"

namespace diptych {
namespace {

constexpr char32_t kReplacement = 0xFFFD;

struct Entity {
  std::u32string_view name;
  char32_t point;
  bool legacy;  // HTML also knows it without the semicolon
};

constexpr Entity kEntities[] = {
    {U"amp", '&', true},       {U"lt", '<', true},         {U"gt", '>', true},
    {U"quot", '"', true},      {U"apos", '\'', false},     {U"nbsp", 0xA0, true},
    {U"copy", 0xA9, true},     {U"reg", 0xAE, true},       {U"deg", 0xB0, true},
    {U"middot", 0xB7, true},   {U"laquo", 0xAB, true},     {U"raquo", 0xBB, true},
    {U"eacute", 0xE9, true},   {U"ndash", 0x2013, false},  {U"mdash", 0x2014, false},
    {U"lsquo", 0x2018, false}, {U"rsquo", 0x2019, false},  {U"ldquo", 0x201C, false},
    {U"rdquo", 0x201D, false}, {U"hellip", 0x2026, false}, {U"bull", 0x2022, false},
    {U"trade", 0x2122, false}, {U"euro", 0x20AC, false},   {U"AMP", '&', true},
    {U"LT", '<', true},        {U"GT", '>', true},         {U"QUOT", '"', true},
};

// &#128; … &#159; mean Windows-1252 on the web; the five bytes it leaves undefined stay themselves.
constexpr std::array<char32_t, 32> kWindows1252 = {
    0x20AC, 0x81,   0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
    0x2039, 0x0152, 0x8D,   0x017D, 0x8F,   0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
    0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D,   0x017E, 0x0178};

// A reference found at the start of a text: its length there, and what it stands for.
struct Match {
  size_t length = 0;  // 0: not a reference
  std::u32string text;
};

// Control characters and code points that are no characters: HTML drops references to them.
bool is_dropped(char32_t c) {
  return (c >= 0x01 && c <= 0x08) || c == 0x0B || (c >= 0x0E && c <= 0x1F) || c == 0x7F ||
         (c >= 0xFDD0 && c <= 0xFDEF) || (c & 0xFFFE) == 0xFFFE;
}

std::u32string numeric_text(char32_t value) {
  if (value >= 0x80 && value <= 0x9F) return {kWindows1252[value - 0x80]};
  if (value == 0 || (value >= 0xD800 && value <= 0xDFFF) || value > 0x10FFFF) return {kReplacement};
  return is_dropped(value) ? std::u32string() : std::u32string{value};
}

int digit_value(char32_t c, int base) {
  if (c >= '0' && c <= '9') return static_cast<int>(c - '0');
  const char32_t lower = c | 0x20;
  return base == 16 && lower >= 'a' && lower <= 'f' ? static_cast<int>(lower - 'a') + 10 : -1;
}

// "&#65;", "&#x41;": digits up to an optional semicolon.
Match match_numeric(std::u32string_view text) {
  const bool hex = text.size() > 2 && (text[2] | 0x20) == 'x';
  const size_t begin = hex ? 3 : 2;
  size_t pos = begin;
  char32_t value = 0;
  for (int digit; pos < text.size() && (digit = digit_value(text[pos], hex ? 16 : 10)) >= 0; ++pos)
    value = std::min<char32_t>(value * (hex ? 16 : 10) + static_cast<char32_t>(digit), 0x110000);
  if (pos == begin) return {};
  if (pos < text.size() && text[pos] == ';') ++pos;
  return {pos, numeric_text(value)};
}

// "&amp;"; without a semicolon the longest legacy name counts, as in "&ampx".
Match match_named(std::u32string_view text) {
  Match best;
  for (const Entity& entity : kEntities) {
    const size_t end = 1 + entity.name.size();
    if (text.substr(1, entity.name.size()) != entity.name) continue;
    const bool closed = end < text.size() && text[end] == ';';
    if ((closed || entity.legacy) && end + (closed ? 1 : 0) > best.length)
      best = {end + (closed ? 1 : 0), {entity.point}};
  }
  return best;
}

Match match_reference(std::u32string_view text) {
  if (text.size() < 2 || text[0] != '&') return {};
  return text[1] == '#' ? match_numeric(text) : match_named(text);
}

}  // namespace

std::u32string unescape_html(std::u32string_view text) {
  std::u32string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Match match = match_reference(text);
    if (match.length == 0) {
      out.push_back(text[0]);
      text.remove_prefix(1);
    } else {
      out += match.text;
      text.remove_prefix(match.length);
    }
  }
  return out;
}

}  // namespace diptych
