// data/text/tokenizer.h — CLIP's byte-pair tokenizer: OpenAI's vocabulary, or one trained here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/text/bpe.h"

namespace diptych {

/// What to do with a caption that is too long.
enum class Overflow { error, truncate };

/// What "<|startoftext|>" and "<|endoftext|>" written in a text mean: the special tokens, as in
/// OpenAI's code, or just these characters. A caption from the web must not be able to end early.
enum class Specials { parse, as_text };

/// Byte-pair encoding (Sennrich et al., 2016) as in OpenAI's simple_tokenizer.py. Token ids: 256
/// bytes; the same 256 at the end of a word, written "</w>"; one per merge, in order; start; end.
/// A Tokenizer never changes: any number of threads may use one.
class Tokenizer {
 public:
  static constexpr int64_t kSmallest = 514;  ///< vocabulary: byte symbols, start and end
  static constexpr int64_t kOpenAiMerges =
      48894;  ///< for 49408 tokens; the rest of the file is unused

  /// Learns merges from captions until `vocab_size` (≥ kSmallest) is reached or no pair occurs
  /// twice. The most frequent pair first, ties by the smaller (left id, right id): the same
  /// captions in any order give the same vocabulary.
  static Tokenizer train(const Texts& captions, int64_t vocab_size);
  static Tokenizer train(const std::vector<std::string>& captions, int64_t vocab_size);
  /// Reads OpenAI's format, plain or gzip: a line with "#version", then one "left right" per line.
  /// Throws Error naming the line if a part was not made by an earlier line.
  static Tokenizer from_merges(std::string_view text, int64_t max_merges = kOpenAiMerges);
  static Tokenizer load(const std::string& path, int64_t max_merges = kOpenAiMerges);

  /// from_merges(merges_text()) is this tokenizer again.
  std::string merges_text() const;

  /// A token as OpenAI's vocabulary writes it: each byte a printable character, "</w>" at the end
  /// of a word. id: 0 … start_token() - 1.
  std::string spelling(int64_t id) const;

  int64_t vocab_size() const { return end_token() + 1; }
  int64_t start_token() const { return 512 + static_cast<int64_t>(merges_.size()); }
  int64_t end_token() const { return start_token() + 1; }

  /// Ids of the cleaned text, without start and end.
  std::vector<int64_t> encode(std::string_view text, Specials = Specials::parse) const;

  /// start, ids, end; not padded. A longer text than `max_length` (≥ 2) throws Error, or loses its
  /// tail and ends in the end token. Throws Error on one of more than kMaxTextBytes.
  std::vector<int64_t> tokenize(std::string_view text, int64_t max_length, Overflow,
                                Specials = Specials::as_text) const;

  /// The text of some ids: "</w>" becomes a space, special tokens their names, broken UTF-8 U+FFFD.
  /// Throws Error on an id outside the vocabulary.
  std::string decode(const std::vector<int64_t>& ids) const;

 private:
  explicit Tokenizer(std::vector<bpe::Merge> merges);
  class WordEncoder;

  std::vector<bpe::Merge> merges_;                     // merge k makes symbol 512 + k
  std::vector<bpe::Piece> pieces_;                     // what each symbol stands for
  std::unordered_map<uint64_t, bpe::Symbol> made_by_;  // packed pair → the symbol it makes
};

}  // namespace diptych
