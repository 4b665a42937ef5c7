// data/text/bpe.cpp — symbols, their spelling, and the cutting of text into words.
#include "data/text/bpe.h"

#include <array>

#include "data/text/unicode.h"

namespace diptych::bpe {
namespace {

bool is_printable(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

struct ByteTables {
  std::array<uint8_t, 256> byte_of;    // symbol → byte: first the printable ones, then the others
  std::array<uint8_t, 256> symbol_of;  // byte → symbol
  std::array<char32_t, 256> written_as;  // byte → character in a merges file
};

ByteTables make_byte_tables() {
  ByteTables tables{};
  size_t symbol = 0;
  for (bool printable : {true, false}) {
    char32_t stand_in = 0x100;
    for (int byte = 0; byte < 256; ++byte) {
      if (is_printable(byte) != printable) continue;
      const auto b = static_cast<size_t>(byte);
      tables.written_as[b] = printable ? static_cast<char32_t>(byte) : stand_in++;
      tables.symbol_of[b] = static_cast<uint8_t>(symbol);
      tables.byte_of[symbol++] = static_cast<uint8_t>(byte);
    }
  }
  return tables;
}

const ByteTables& byte_tables() {
  static const ByteTables tables = make_byte_tables();
  return tables;
}

// Whether lower-cased text starts with `word` under Python's IGNORECASE, for which the long s, a
// lower-case letter, still equals s.
bool starts_with(std::u32string_view text, std::u32string_view word) {
  if (text.size() < word.size()) return false;
  for (size_t i = 0; i < word.size(); ++i)
    if (text[i] != word[i] && !(text[i] == 0x17F && word[i] == 's')) return false;
  return true;
}

template <class Words>
size_t length_of_any(std::u32string_view text, const Words& words) {
  for (std::u32string_view word : words)
    if (starts_with(text, word)) return word.size();
  return 0;
}

template <class Predicate>
size_t length_while(std::u32string_view text, Predicate predicate) {
  size_t n = 0;
  while (n < text.size() && predicate(text[n])) ++n;
  return n;
}

// Length of the word at the start of `text`, which is not a space.
size_t word_length(std::u32string_view text, bool specials) {
  static constexpr std::u32string_view kSpecials[] = {kStart, kEnd};
  static constexpr std::u32string_view kEndings[] = {U"'s", U"'t",  U"'re", U"'ve",
                                                     U"'m", U"'ll", U"'d"};
  if (specials)
    if (const size_t n = length_of_any(text, kSpecials)) return n;
  if (const size_t n = length_of_any(text, kEndings)) return n;
  if (const size_t n = length_while(text, is_letter)) return n;
  if (is_number(text[0])) return 1;
  return length_while(text,
                      [](char32_t c) { return !is_space(c) && !is_letter(c) && !is_number(c); });
}

}  // namespace

std::string spelling(const Piece& piece) {
  std::u32string text;
  for (char byte : piece.bytes)
    text.push_back(byte_tables().written_as[static_cast<uint8_t>(byte)]);
  return encode_utf8(text) + (piece.ends_word ? "</w>" : "");
}

Pieces::Pieces() {
  for (bool ends_word : {false, true})
    for (uint8_t byte : byte_tables().byte_of) {
      Piece piece{std::string(1, static_cast<char>(byte)), ends_word};
      std::string spelled = spelling(piece);
      push(std::move(piece), std::move(spelled));
    }
}

void Pieces::push(Piece piece, std::string spelled) {
  by_spelling_.emplace(std::move(spelled), static_cast<Symbol>(pieces_.size()));
  pieces_.push_back(std::move(piece));
}

std::optional<Symbol> Pieces::find(std::string_view spelled) const {
  const auto found = by_spelling_.find(std::string(spelled));
  if (found == by_spelling_.end()) return std::nullopt;
  return found->second;
}

bool Pieces::add(Merge merge) {
  const Piece& left = pieces_[static_cast<size_t>(merge.first)];
  const Piece& right = pieces_[static_cast<size_t>(merge.second)];
  if (left.ends_word || left.bytes.size() + right.bytes.size() > kMaxPieceBytes) return false;
  Piece piece{left.bytes + right.bytes, right.ends_word};
  std::string spelled = spelling(piece);
  if (by_spelling_.contains(spelled)) return false;
  push(std::move(piece), std::move(spelled));
  return true;
}

std::vector<Symbol> symbols_of(std::string_view word) {
  std::vector<Symbol> symbols;
  symbols.reserve(word.size());
  for (char byte : word) symbols.push_back(byte_tables().symbol_of[static_cast<uint8_t>(byte)]);
  if (!symbols.empty()) symbols.back() += 256;
  return symbols;
}

std::vector<std::u32string_view> split_words(std::u32string_view text, bool specials) {
  std::vector<std::u32string_view> words;
  while (true) {
    text.remove_prefix(length_while(text, is_space));
    if (text.empty()) return words;
    const size_t length = word_length(text, specials);
    words.push_back(text.substr(0, length));
    text.remove_prefix(length);
  }
}

}  // namespace diptych::bpe
