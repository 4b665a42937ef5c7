// data/text/html_entities.cpp — references in text, as Python's html.unescape and ftfy read them.
#include "data/text/html_entities.h"

#include <algorithm>
#include <optional>
#include <unordered_map>

#include "data/text/code_pages.h"
#include "data/text/unicode.h"

namespace diptych {
namespace {

constexpr size_t kLongestName = 32;  // characters html.unescape looks at, without the semicolon

struct Entity {
  std::u32string text;
  bool legacy = false;                    // HTML also knows it without the semicolon
  std::optional<std::u32string> capital;  // what ftfy reads if the name is in capitals
};

using Entities = std::unordered_map<std::u32string, Entity>;

// Takes the characters up to one of `ends` off the front of `row`.
std::string_view take(std::string_view& row, std::string_view ends) {
  const std::string_view part = row.substr(0, row.find_first_of(ends));
  row.remove_prefix(part.size());
  return part;
}

// "223E.333" → two code points
std::u32string code_points(std::string_view hex) {
  std::u32string text;
  while (!hex.empty()) {
    text.push_back(static_cast<char32_t>(std::stoul(std::string(take(hex, ".")), nullptr, 16)));
    if (!hex.empty()) hex.remove_prefix(1);
  }
  return text;
}

Entities read_entities() {
  Entities entities;
  for (std::string_view rows = html_entity_rows(); !rows.empty(); rows.remove_prefix(1)) {
    std::string_view row = take(rows, " ");
    Entity& entity = entities[decode_utf8(take(row, "~="))];
    entity.legacy = row[0] == '~';
    row.remove_prefix(1);
    entity.text = code_points(take(row, "^"));
    if (row.empty()) continue;
    entity.capital = row.size() > 1 ? code_points(row.substr(1)) : entity.text;
  }
  return entities;
}

const Entity* find_entity(std::u32string_view name) {
  static const Entities entities = read_entities();
  const auto found = entities.find(std::u32string(name));
  return found == entities.end() ? nullptr : &found->second;
}

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
  if (value == 0 || (value >= 0xD800 && value <= 0xDFFF) || value > 0x10FFFF) return U"\uFFFD";
  return is_dropped(value) ? std::u32string() : std::u32string{windows_1252(value)};
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

bool is_alphanumeric(char32_t c) {
  return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

// The letters and digits behind the "&": all names consist of them.
std::u32string_view name_in(std::u32string_view text) {
  size_t end = 1;
  while (end < text.size() && end <= kLongestName && is_alphanumeric(text[end])) ++end;
  return text.substr(1, end - 1);
}

// "&amp;"; without a semicolon the longest legacy name counts, as in "&ampx".
Match match_named(std::u32string_view text) {
  std::u32string_view name = name_in(text);
  if (const size_t end = 1 + name.size(); end < text.size() && text[end] == ';')
    if (const Entity* entity = find_entity(name)) return {end + 1, entity->text};
  for (; name.size() >= 2; name.remove_suffix(1))
    if (const Entity* entity = find_entity(name); entity && entity->legacy)
      return {1 + name.size(), entity->text};
  return {};
}

Match match_reference(std::u32string_view text) {
  if (text.size() < 2) return {};
  return text[1] == '#' ? match_numeric(text) : match_named(text);
}

// The name of a closed reference, exact or in capitals.
Match match_closed_name(std::u32string_view name, size_t length) {
  if (const Entity* entity = find_entity(name)) return {length, entity->text};
  const auto is_capital = [](char32_t c) { return c < 'a'; };
  if (!std::all_of(name.begin(), name.end(), is_capital)) return {};
  const Entity* entity = find_entity(lower_case(name));
  return entity && entity->capital ? Match{length, *entity->capital} : Match{};
}

Match match_closed(std::u32string_view text) {
  constexpr size_t kLongest = 24;  // letters and digits in ftfy's pattern
  const bool numeric = text.size() > 1 && text[1] == '#';
  const std::u32string_view name = name_in(text.substr(numeric));
  const size_t length = numeric + 1 + name.size() + 1;
  if (name.empty() || name.size() > kLongest || length > text.size() || text[length - 1] != ';')
    return {};
  if (!numeric) return match_closed_name(name, length);
  Match match = match_numeric(text);
  return match.length == length && match.text != U";" ? match : Match{};
}

std::u32string replace_references(std::u32string_view text,
                                  Match (*match_at)(std::u32string_view)) {
  std::u32string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t plain = std::min(text.find(U'&'), text.size());
    out += text.substr(0, plain);
    text.remove_prefix(plain);
    if (text.empty()) break;
    const Match match = match_at(text);
    out += match.length == 0 ? std::u32string(1, U'&') : match.text;
    text.remove_prefix(std::max<size_t>(match.length, 1));
  }
  return out;
}

}  // namespace

std::u32string unescape_html(std::u32string_view text) {
  return replace_references(text, match_reference);
}

std::u32string unescape_closed_html(std::u32string_view text) {
  return replace_references(text, match_closed);
}

}  // namespace diptych
