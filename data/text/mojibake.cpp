// data/text/mojibake.cpp — undoing mistaken encodings, as ftfy 6 does.
#include "data/text/mojibake.h"

#include <algorithm>
#include <optional>

#include "data/text/char_pattern.h"
#include "data/text/code_pages.h"
#include "data/text/unicode.h"

namespace diptych {
namespace {

constexpr int kMostRounds = 64;  // each undoes one mistake; hostile text could ask for many

using Bytes = std::u32string;  // each 0 … 255, so that patterns can be looked for

template <class Replacement>
std::u32string replace(const CharPattern& pattern, std::u32string_view text, Replacement with) {
  std::u32string out;
  out.reserve(text.size());
  for (size_t pos = 0; pos < text.size();) {
    const size_t length = pattern.match(text, pos);
    out += length == 0 ? std::u32string(1, text[pos]) : with(text.substr(pos, length));
    pos += std::max<size_t>(length, 1);
  }
  return out;
}

// What may follow the space in "Ã " if it stands for the à that begins a word.
constexpr std::u32string_view kAfterAGrave[] = {U" ", U"quele", U"quela", U"quilo", U"s "};

// "Ã la mode" is "à la mode": the second byte of à, a no-break space, was taken for a space, and
// then one of two spaces was lost. Portuguese words that begin with à only lost the first.
Bytes restore_a_grave(std::u32string_view bytes) {
  Bytes out;
  for (; !bytes.empty(); bytes.remove_prefix(1)) {
    out.push_back(bytes[0]);
    if (!bytes.starts_with(U"\xC3 ")) continue;
    const std::u32string_view next = bytes.substr(2);
    const bool within_word =
        std::any_of(std::begin(kAfterAGrave), std::end(kAfterAGrave),
                    [next](std::u32string_view word) { return next.starts_with(word); });
    if (!within_word) out.push_back(0xA0);
  }
  return out;
}

// Sequences that would be UTF-8 if a space were the no-break space again.
Bytes restore_no_break_spaces(std::u32string_view bytes) {
  static const CharPattern spaced(
      {U"\xC2\xC3\xC5\xCE\xD0\xD9 z", U"\xE2\xE3 z \x80-\x84\x86-\x9F\xA1-\xBF",
       U"\xE0-\xE3 \x80-\x84\x86-\x9F\xA1-\xBF z", U"\xF0 z \x80-\xBF \x80-\xBF",
       U"\xF0 \x80-\xBF z \x80-\xBF", U"\xF0 \x80-\xBF \x80-\xBF z"},
      {{U'z', CharSet(U" ")}});
  return replace(spaced, restore_a_grave(bytes), [](std::u32string_view found) {
    Bytes restored(found);
    std::replace(restored.begin(), restored.end(), U' ', U'\u00A0');
    return restored;
  });
}

// Sequences of which a byte was lost, now 0x1A or once "?", become U+FFFD.
Bytes replace_lossy(std::u32string_view bytes) {
  static const CharPattern lossy(
      {U"\xC2-\xDF \x1A", U"\xC2\xC3 ?", U"\xED \xA0-\xAF \x1A? \xED \xB0-\xBF \x1A?\x80-\xBF",
       U"\xED \xA0-\xAF \x1A?\x80-\xBF \xED \xB0-\xBF \x1A?", U"\xE0-\xEF \x1A? \x1A\x80-\xBF",
       U"\xE0-\xEF \x1A\x80-\xBF \x1A?", U"\xF0-\xF4 \x1A? \x1A\x80-\xBF \x1A\x80-\xBF",
       U"\xF0-\xF4 \x1A\x80-\xBF \x1A? \x1A\x80-\xBF",
       U"\xF0-\xF4 \x1A\x80-\xBF \x1A\x80-\xBF \x1A?", U"\x1A"});
  return replace(lossy, bytes, [](std::u32string_view) { return Bytes(U"\xEF\xBF\xBD"); });
}

std::string narrow(std::u32string_view bytes) { return {bytes.begin(), bytes.end()}; }

// The bytes that UTF-8 has instead of CESU-8's two surrogates of three bytes each, and of Java's
// two-byte zero.
Bytes without_variants(std::u32string_view bytes) {
  static const CharPattern variants(
      {U"\xED \xA0-\xAF \x80-\xBF \xED \xB0-\xBF \x80-\xBF", U"\xC0 \x80"});
  return replace(variants, bytes, [](std::u32string_view b) {
    if (b.size() == 2) return Bytes(1, U'\0');
    const char32_t point = 0x10000 + ((b[1] & 0xF) << 16) + ((b[2] & 0x3F) << 10) +
                           ((b[4] & 0xF) << 6) + (b[5] & 0x3F);
    Bytes utf8;
    for (char byte : encode_utf8({&point, 1})) utf8.push_back(static_cast<unsigned char>(byte));
    return utf8;
  });
}

std::optional<std::u32string> decode_strictly(std::u32string_view bytes) {
  const std::string utf8 = narrow(without_variants(bytes));
  std::u32string text = decode_utf8(utf8);
  if (encode_utf8(text) != utf8) return std::nullopt;  // bad sequences became U+FFFD
  return text;
}

// The text if it is UTF-8 that was read through `page`, allowing for bytes lost on the way.
std::optional<std::u32string> undo(std::u32string_view text, const CodePage& page) {
  std::optional<Bytes> bytes = to_bytes(text, page);
  if (!bytes) return std::nullopt;
  if (page.name != "macroman") *bytes = restore_no_break_spaces(*bytes);  // there Ð is a dash
  if (page.substitutes) *bytes = replace_lossy(*bytes);
  return decode_strictly(*bytes);
}

// What bytes [first, last] mean in any of the letter pages.
CharSet meanings(std::initializer_list<std::pair<char32_t, char32_t>> ranges,
                 std::u32string_view more = U"", std::u32string_view but = U"") {
  std::u32string all(more);
  for (const CodePage& page : code_pages().first(kLetterPages))
    for (auto [first, last] : ranges)
      for (char32_t byte = first; byte <= last; ++byte)
        if (const char32_t c = page.upper[byte - 0x80]; but.find(c) == but.npos) all.push_back(c);
  return CharSet(all);
}

// UTF-8 sequences read through any mixture of pages; behind a tail they are part of something else.
std::u32string fix_parts(std::u32string_view text) {
  static const CharPattern sequence({U"2 t", U"3 t t", U"4 t t t"},
                                    {{U'2', meanings({{0xC2, 0xDF}})},
                                     {U'3', meanings({{0xE0, 0xEF}})},
                                     {U'4', meanings({{0xF0, 0xF0}, {0xF3, 0xF3}})},
                                     {U't', meanings({{0x80, 0xBF}}, U" ")}});
  static const CharSet tail = meanings({{0x80, 0xBF}}, U"", U"–—―‘’‚“”„•…");
  std::u32string out;
  for (size_t pos = 0; pos < text.size();) {
    size_t end = pos;
    if (pos == 0 || !tail.contains(text[pos - 1]))
      while (const size_t length = sequence.match(text, end)) end += length;
    const std::u32string part(text.substr(pos, std::max<size_t>(end - pos, 1)));
    const bool fixable = end > pos && part.size() < text.size() && looks_like_mojibake(part);
    out += fixable ? fix_encoding(part) : part;
    pos += part.size();
  }
  return out;
}

std::u32string undo_one_mistake(const std::u32string& text) {
  const auto is_ascii = [](char32_t c) { return c < 0x80; };
  if (std::all_of(text.begin(), text.end(), is_ascii) || !looks_like_mojibake(text)) return text;
  for (const CodePage& page : code_pages())
    if (auto undone = undo(text, page)) return *undone;
  std::u32string fixed = fix_parts(text);
  if (fixed == text) std::transform(text.begin(), text.end(), fixed.begin(), windows_1252);
  return fixed;
}

}  // namespace

std::u32string fix_encoding(std::u32string text) {
  for (int round = 0; round < kMostRounds; ++round) {
    std::u32string fixed = undo_one_mistake(text);
    if (fixed == text) break;
    text = std::move(fixed);
  }
  return text;
}

}  // namespace diptych
