// data/text/bpe.h — the parts of byte-pair encoding that reading, training and encoding share.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "data/text/texts.h"

namespace diptych::bpe {

/// Number of a symbol: 0 … 255 bytes, 256 … 511 bytes that end a word, 512 + k made by merge k.
using Symbol = int32_t;
using Merge = std::pair<Symbol, Symbol>;  ///< left, right

inline constexpr Symbol kFirstMerge = 512;
inline constexpr size_t kMaxPieceBytes = 1024;  ///< longest symbol: merges that double are a bomb

inline constexpr std::u32string_view kStart = U"<|startoftext|>", kEnd = U"<|endoftext|>";

/// A pair as one number: the key of hash maps.
inline uint64_t pack(Symbol left, Symbol right) {
  return static_cast<uint64_t>(left) << 32 | static_cast<uint32_t>(right);
}

/// What a symbol stands for.
struct Piece {
  std::string bytes;
  bool ends_word = false;
};

/// How a merges file writes a symbol: each byte as a printable character (33-126, 161-172 and
/// 174-255 as themselves, the others as U+0100, U+0101, …), then "</w>" at the end of a word.
std::string spelling(const Piece&);

/// All symbols in order, no two spelled alike.
class Pieces {
 public:
  Pieces();  ///< the first 512

  const std::vector<Piece>& all() const { return pieces_; }
  std::optional<Symbol> find(std::string_view spelled) const;
  /// Appends the symbol that `merge` makes. Does nothing and returns false if its spelling is taken
  /// or it would be longer than kMaxPieceBytes.
  bool add(Merge);

 private:
  void push(Piece, std::string spelled);

  std::vector<Piece> pieces_;
  std::unordered_map<std::string, Symbol> by_spelling_;
};

/// The bytes of a word as symbols; the last one ends the word.
std::vector<Symbol> symbols_of(std::string_view word);

/// Cuts cleaned text at CLIP's pattern, whose alternatives are tried in this order: a special token
/// (only with `specials`), 's 't 're 've 'm 'll 'd, letters, one digit, anything else but space.
std::vector<std::u32string_view> split_words(std::u32string_view text, bool specials);

/// The merges that CLIP's trainer would learn from these captions: see Tokenizer::train.
std::vector<Merge> train(const Texts& captions, int64_t max_merges);

}  // namespace diptych::bpe
