// data/text/fix.cpp — ftfy's fixes of single characters and short sequences, in its order.
#include "data/text/fix.h"

#include <algorithm>

#include "data/text/code_pages.h"
#include "data/text/html_entities.h"
#include "data/text/mojibake.h"
#include "data/text/unicode.h"

namespace diptych {
namespace {

constexpr size_t kLongestSegment = 1'000'000;  // of one line: ftfy cuts longer ones
// "&amp;amp;amp;…" needs a round per level; rounds without end would take quadratic time.
constexpr int kMostRounds = 64;

// Latin letters that were glued together for typography or by old encodings. Æ and œ are letters.
std::u32string_view ligature_parts(char32_t c) {
  static constexpr std::u32string_view kLatin[] = {U"DŽ", U"Dž", U"dž", U"LJ", U"Lj",
                                                   U"lj", U"NJ", U"Nj", U"nj"};
  static constexpr std::u32string_view kTypographic[] = {U"ff",  U"fi", U"fl", U"ffi",
                                                         U"ffl", U"ſt", U"st"};
  if (c >= U'Ǆ' && c <= U'ǌ') return kLatin[c - U'Ǆ'];
  if (c >= U'ﬀ' && c <= U'ﬆ') return kTypographic[c - U'ﬀ'];
  switch (c) {
    case U'Ĳ':
      return U"IJ";
    case U'ĳ':
      return U"ij";
    case U'ŉ':
      return U"ʼn";
    case U'Ǳ':
      return U"DZ";
    case U'ǲ':
      return U"Dz";
    case U'ǳ':
      return U"dz";
    default:
      return {};
  }
}

char32_t straight_quote(char32_t c) {
  if (c == 0x2BC || (c >= 0x2018 && c <= 0x201B)) return '\'';
  return c >= 0x201C && c <= 0x201F ? '"' : c;
}

void append_plain(char32_t c, std::u32string& out) {
  c = windows_1252(c);
  if (const std::u32string_view parts = ligature_parts(c); !parts.empty()) {
    for (char32_t part : parts) out.push_back(straight_quote(part));
  } else if (c == 0x3000) {
    out.push_back(' ');
  } else if (c > 0xFF00 && c < 0xFFF0) {
    out += compatible_form(c);
  } else {
    out.push_back(straight_quote(c));
  }
}

std::u32string plain_characters(std::u32string_view text) {
  std::u32string out;
  out.reserve(text.size());
  for (char32_t c : text) append_plain(c, out);
  return out;
}

std::u32string plain_line_breaks(std::u32string_view text) {
  std::u32string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') continue;
    const bool breaks =
        text[i] == '\r' || text[i] == 0x85 || text[i] == 0x2028 || text[i] == 0x2029;
    out.push_back(breaks ? U'\n' : text[i]);
  }
  return out;
}

// Length of the sequence at the start of `text`, as in ESC [ 1 ; 31 m; 0 if there is none.
size_t terminal_escape(std::u32string_view text) {
  if (!text.starts_with(U"\x1B[")) return 0;
  size_t end = 2;
  while (end < text.size() && (is_digit(text[end]) || text[end] == ';')) ++end;
  const bool closed = end < text.size() && (text[end] | 0x20) >= 'a' && (text[end] | 0x20) <= 'z';
  return closed ? end + 1 : 0;
}

// Controls other than white space, deprecated ones, annotations, and the byte-order mark.
bool is_unwanted(char32_t c) {
  return c <= 0x08 || c == 0x0B || (c >= 0x0E && c <= 0x1F) || c == 0x7F ||
         (c >= 0x206A && c <= 0x206F) || c == 0xFEFF || (c >= 0xFFF9 && c <= 0xFFFC);
}

std::u32string without_controls(std::u32string_view text) {
  std::u32string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t escape = terminal_escape(text);
    if (escape == 0 && !is_unwanted(text[0])) out.push_back(text[0]);
    text.remove_prefix(std::max<size_t>(escape, 1));
  }
  return out;
}

std::u32string fix_segment(std::u32string text, bool unescape) {
  for (int round = 0; round < kMostRounds; ++round) {
    std::u32string fixed = unescape ? unescape_closed_html(text) : text;
    fixed = plain_characters(fix_encoding(std::move(fixed)));
    fixed = nfc(without_controls(plain_line_breaks(fixed)));
    if (fixed == text) break;
    text = std::move(fixed);
  }
  return text;
}

}  // namespace

std::u32string fix_text(std::u32string_view text) {
  std::u32string out;
  bool unescape = true;
  while (!text.empty()) {
    const size_t line = std::min(text.find(U'\n'), text.size() - 1) + 1;
    const std::u32string segment(text.substr(0, std::min(line, kLongestSegment)));
    unescape = unescape && segment.find(U'<') == segment.npos;
    out += fix_segment(segment, unescape);
    text.remove_prefix(segment.size());
  }
  return out;
}

}  // namespace diptych
