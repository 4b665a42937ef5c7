// data/text/tokenizer.cpp — reading and writing vocabularies, encoding and decoding text.
#include "data/text/tokenizer.h"

#include <algorithm>
#include <queue>

#include "data/text/clean.h"
#include "data/text/unicode.h"
#include "tensor/io/gzip.h"
#include "tensor/io/text_file.h"
#include "tensor/types.h"

namespace diptych {
namespace {

constexpr int64_t kMaxFileBytes = int64_t{64} << 20;
constexpr const char* kHeader = "#version: 0.2\n";

// Takes one line off the front of `text`.
std::string_view take_line(std::string_view& text) {
  const size_t end = std::min(text.find('\n'), text.size());
  std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

bpe::Symbol known_symbol(const bpe::Pieces& pieces, std::string_view spelled, int64_t line) {
  const auto symbol = pieces.find(spelled);
  check(symbol.has_value(), "tokenizer: merges line ", line, ": '", spelled,
        "' is neither a byte nor made by an earlier line");
  return *symbol;
}

bpe::Merge parse_merge(bpe::Pieces& pieces, std::string_view text, int64_t line) {
  const size_t space = text.find(' ');
  check(space != text.npos && text.find(' ', space + 1) == text.npos, "tokenizer: merges line ",
        line, ": expected two symbols with a space between them, found '", text.substr(0, 80), "'");
  const bpe::Merge merge{known_symbol(pieces, text.substr(0, space), line),
                         known_symbol(pieces, text.substr(space + 1), line)};
  check(pieces.add(merge), "tokenizer: merges line ", line, ": '", text.substr(0, 80),
        "' makes a symbol that exists, is longer than ", bpe::kMaxPieceBytes,
        " bytes, or goes on after the end of a word");
  return merge;
}

// What a message quotes of a text: cleaned, so that it cannot write to the terminal as it likes.
std::string beginning_of(std::string_view text) {
  constexpr size_t kMost = 60;
  const std::u32string cleaned = clean_text(text);
  return encode_utf8(cleaned.substr(0, kMost)) + (cleaned.size() > kMost ? "…" : "");
}

std::vector<bpe::Merge> parse_merges(std::string_view text, int64_t max_merges) {
  check(take_line(text).find("#version") != text.npos,
        "tokenizer: not a merges file: the first line has no '#version'");
  bpe::Pieces pieces;
  std::vector<bpe::Merge> merges;
  while (!text.empty() && static_cast<int64_t>(merges.size()) < max_merges)
    merges.push_back(parse_merge(pieces, take_line(text), static_cast<int64_t>(merges.size()) + 2));
  return merges;
}

}  // namespace

Tokenizer::Tokenizer(std::vector<bpe::Merge> merges) : merges_(std::move(merges)) {
  bpe::Pieces pieces;
  for (bpe::Merge merge : merges_) {
    made_by_.emplace(bpe::pack(merge.first, merge.second),
                     static_cast<bpe::Symbol>(pieces.all().size()));
    pieces.add(merge);
  }
  pieces_ = pieces.all();
}

Tokenizer Tokenizer::train(const std::vector<std::string>& captions, int64_t vocab_size) {
  return train(texts_of(captions), vocab_size);
}

Tokenizer Tokenizer::train(const Texts& captions, int64_t vocab_size) {
  check(vocab_size >= kSmallest, "tokenizer: a vocabulary of ", vocab_size,
        " is too small: 512 byte symbols and 2 special tokens always belong to it");
  return Tokenizer(bpe::train(captions, vocab_size - kSmallest));
}

Tokenizer Tokenizer::from_merges(std::string_view text, int64_t max_merges) {
  if (is_gzip(text))
    return Tokenizer(parse_merges(gunzip(text, kMaxFileBytes, "merges"), max_merges));
  return Tokenizer(parse_merges(text, max_merges));
}

Tokenizer Tokenizer::load(const std::string& path, int64_t max_merges) {
  const std::string bytes = read_file(path, kMaxFileBytes);
  try {
    if (is_gzip(bytes)) return from_merges(bytes, max_merges);
    TextDecoder decoder("tokenizer: a vocabulary");
    const std::string text = decoder.next(bytes);
    return from_merges(text + decoder.finish(), max_merges);
  } catch (const Error& error) {
    fail(error.what(), " (in '", path, "')");
  }
}

std::string Tokenizer::spelling(int64_t id) const {
  check(0 <= id && id < start_token(), "tokenizer: token ", id, " has no spelling");
  return bpe::spelling(pieces_[static_cast<size_t>(id)]);
}

std::string Tokenizer::merges_text() const {
  std::string text = kHeader;
  for (auto [left, right] : merges_) text += spelling(left) + ' ' + spelling(right) + '\n';
  return text;
}

// Merges the symbols of one word. The original looks for the lowest-ranked pair and merges all its
// occurrences from left to right, again and again, which is quadratic in the length of the word. A
// queue ordered by (rank, position) visits the same merges in the same order, because a merge makes
// only pairs of higher rank: a file names a symbol after the line that makes it.
class Tokenizer::WordEncoder {
 public:
  explicit WordEncoder(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  void append(std::string_view word, std::vector<int64_t>& ids) {
    symbols_ = bpe::symbols_of(word);
    const size_t n = symbols_.size();
    next_.resize(n);
    previous_.resize(n);
    for (size_t i = 0; i < n; ++i) {
      next_[i] = i + 1;
      previous_[i] = i == 0 ? kNone : i - 1;
    }
    for (size_t i = 0; i < n; ++i) consider(i);
    merge_all();
    for (size_t i = 0; i < n; i = next_[i]) ids.push_back(symbols_[i]);
  }

 private:
  static constexpr size_t kNone = static_cast<size_t>(-1);
  static constexpr bpe::Symbol kGone = -1;
  using Candidate = std::pair<bpe::Symbol, size_t>;  // the symbol it would make, left position

  void consider(size_t left) {
    if (left == kNone || next_[left] >= symbols_.size()) return;
    const auto made = tokenizer_.made_by_.find(bpe::pack(symbols_[left], symbols_[next_[left]]));
    if (made != tokenizer_.made_by_.end()) queue_.push({made->second, left});
  }

  void merge_all() {
    while (!queue_.empty()) {
      const auto [made, left] = queue_.top();
      queue_.pop();
      const size_t right = next_[left];
      const auto pair = tokenizer_.merges_[static_cast<size_t>(made - bpe::kFirstMerge)];
      if (symbols_[left] != pair.first || right >= symbols_.size() ||
          symbols_[right] != pair.second)
        continue;  // an earlier merge took one of the two
      symbols_[left] = made;
      symbols_[right] = kGone;
      next_[left] = next_[right];
      if (next_[left] < symbols_.size()) previous_[next_[left]] = left;
      consider(previous_[left]);
      consider(left);
    }
  }

  const Tokenizer& tokenizer_;
  std::vector<bpe::Symbol> symbols_;
  std::vector<size_t> next_, previous_;  // neighbours among the symbols that are left
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue_;
};

std::vector<int64_t> Tokenizer::encode(std::string_view text, Specials specials) const {
  std::vector<int64_t> ids;
  WordEncoder encoder(*this);
  const std::u32string cleaned = clean_text(text);
  for (std::u32string_view word : bpe::split_words(cleaned, specials == Specials::parse)) {
    if (word == bpe::kStart) {
      ids.push_back(start_token());
    } else if (word == bpe::kEnd) {
      ids.push_back(end_token());
    } else {
      encoder.append(encode_utf8(word), ids);
    }
  }
  return ids;
}

std::vector<int64_t> Tokenizer::tokenize(std::string_view text, int64_t max_length,
                                         Overflow overflow, Specials specials) const {
  check(max_length >= 2, "tokenizer: a length of ", max_length, " leaves no room for a text");
  check(static_cast<int64_t>(text.size()) <= kMaxTextBytes, "tokenizer: a text of ", text.size(),
        " bytes, the limit is ", kMaxTextBytes, "; shorten it");
  std::vector<int64_t> ids = encode(text, specials);
  ids.insert(ids.begin(), start_token());
  ids.push_back(end_token());
  const auto length = static_cast<int64_t>(ids.size());
  if (length <= max_length) return ids;
  check(overflow == Overflow::truncate, "tokenizer: '", beginning_of(text), "' has ", length,
        " tokens, the limit is ", max_length, "; shorten it or use --truncate");
  ids.resize(static_cast<size_t>(max_length));
  ids.back() = end_token();
  return ids;
}

std::string Tokenizer::decode(const std::vector<int64_t>& ids) const {
  std::string text;
  for (int64_t id : ids) {
    check(id >= 0 && id < vocab_size(), "tokenizer: token ", id, " is outside the vocabulary of ",
          vocab_size());
    if (id >= start_token()) {
      text += encode_utf8(id == start_token() ? bpe::kStart : bpe::kEnd);
    } else {
      const bpe::Piece& piece = pieces_[static_cast<size_t>(id)];
      text += piece.bytes + (piece.ends_word ? " " : "");
    }
  }
  return encode_utf8(decode_utf8(text));
}

}  // namespace diptych
