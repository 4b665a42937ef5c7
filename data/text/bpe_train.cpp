// data/text/bpe_train.cpp — learning merges by counting pairs, with counts kept up to date.
#include <algorithm>
#include <map>
#include <queue>
#include <unordered_map>

#include "data/text/bpe.h"
#include "data/text/clean.h"
#include "data/text/unicode.h"

namespace diptych::bpe {
namespace {

// A longer run of letters is no word; skipping it bounds the work per merge.
constexpr size_t kMaxWordBytes = 256;

// Every distinct word once, with how often it occurs. A merge touches only the words that hold the
// pair, so the cost of training follows the number of changes rather than the size of the text.
class Trainer {
 public:
  explicit Trainer(const Texts& captions);
  std::vector<Merge> run(int64_t max_merges);

 private:
  struct Word {
    std::vector<Symbol> symbols;
    int64_t count;
  };
  struct Pair {
    int64_t count = 0;
    std::vector<size_t> words;  // where it may occur: with repeats, and some from before
  };
  struct Candidate {
    int64_t count;
    Merge merge;
    bool operator<(const Candidate& other) const {  // the queue's top: most frequent, then smallest
      return count != other.count ? count < other.count : merge > other.merge;
    }
  };

  int64_t& count_of(Merge merge) { return pairs_[pack(merge.first, merge.second)].count; }
  void count_pairs(const Word&, int64_t sign);
  void apply(Merge, Symbol made);
  void merge_in_word(size_t index, Merge, Symbol made, std::vector<Merge>& grown);

  std::vector<Word> words_;
  std::unordered_map<uint64_t, Pair> pairs_;
  std::priority_queue<Candidate> queue_;
  Pieces pieces_;
};

std::map<std::string, int64_t> count_words(const Texts& captions) {
  std::map<std::string, int64_t> counts;
  captions([&counts](std::string_view caption) {
    const std::u32string text = clean_text(caption);
    for (std::u32string_view word : split_words(text, false)) ++counts[encode_utf8(word)];
  });
  return counts;
}

Trainer::Trainer(const Texts& captions) {
  for (const auto& [word, count] : count_words(captions))
    if (word.size() <= kMaxWordBytes) words_.push_back({symbols_of(word), count});
  for (size_t w = 0; w < words_.size(); ++w) {
    const auto& symbols = words_[w].symbols;
    for (size_t i = 0; i + 1 < symbols.size(); ++i) {
      Pair& pair = pairs_[pack(symbols[i], symbols[i + 1])];
      pair.count += words_[w].count;
      pair.words.push_back(w);
    }
  }
  for (const auto& [key, pair] : pairs_)
    queue_.push({pair.count, {static_cast<Symbol>(key >> 32), static_cast<Symbol>(key)}});
}

std::vector<Merge> Trainer::run(int64_t max_merges) {
  std::vector<Merge> merges;
  while (!queue_.empty() && static_cast<int64_t>(merges.size()) < max_merges) {
    const Candidate best = queue_.top();
    queue_.pop();
    const int64_t count = count_of(best.merge);
    if (count < 2) continue;
    if (count != best.count) {  // other merges took some of its places
      queue_.push({count, best.merge});
    } else if (pieces_.add(best.merge)) {
      merges.push_back(best.merge);
      apply(best.merge, static_cast<Symbol>(pieces_.all().size() - 1));
    }
  }
  return merges;
}

void Trainer::apply(Merge merge, Symbol made) {
  std::vector<size_t> where = std::move(pairs_[pack(merge.first, merge.second)].words);
  std::sort(where.begin(), where.end());
  where.erase(std::unique(where.begin(), where.end()), where.end());
  std::vector<Merge> grown;
  for (size_t w : where) merge_in_word(w, merge, made, grown);
  std::sort(grown.begin(), grown.end());
  grown.erase(std::unique(grown.begin(), grown.end()), grown.end());
  for (Merge pair : grown) queue_.push({count_of(pair), pair});
}

void Trainer::count_pairs(const Word& word, int64_t sign) {
  for (size_t i = 0; i + 1 < word.symbols.size(); ++i)
    count_of({word.symbols[i], word.symbols[i + 1]}) += sign * word.count;
}

void Trainer::merge_in_word(size_t index, Merge merge, Symbol made, std::vector<Merge>& grown) {
  Word& word = words_[index];
  count_pairs(word, -1);
  auto& symbols = word.symbols;
  size_t kept = 0;
  for (size_t i = 0; i < symbols.size(); ++i, ++kept) {
    const bool found =
        i + 1 < symbols.size() && symbols[i] == merge.first && symbols[i + 1] == merge.second;
    symbols[kept] = found ? made : symbols[i];
    if (found) ++i;
  }
  symbols.resize(kept);
  count_pairs(word, +1);
  for (size_t i = 0; i + 1 < symbols.size(); ++i) {
    if (symbols[i] != made && symbols[i + 1] != made) continue;
    pairs_[pack(symbols[i], symbols[i + 1])].words.push_back(index);
    grown.push_back({symbols[i], symbols[i + 1]});
  }
}

}  // namespace

std::vector<Merge> train(const Texts& captions, int64_t max_merges) {
  return Trainer(captions).run(max_merges);
}

}  // namespace diptych::bpe
