// data/text/char_pattern.cpp — patterns of a few characters, each out of a set.
#include "data/text/char_pattern.h"

#include <algorithm>

namespace diptych {

CharSet::CharSet(std::u32string_view written, const CharClasses& classes) {
  for (size_t i = 0; i < written.size(); ++i) {
    const char32_t first = written[i];
    if (const auto named = classes.find(first); named != classes.end()) {
      add(named->second);
    } else if (i + 2 < written.size() && written[i + 1] == '-') {
      ranges_.push_back({first, written[i += 2]});
    } else {
      ranges_.push_back({first, first});
    }
  }
  sort();
}

void CharSet::add(const CharSet& other) {
  ranges_.insert(ranges_.end(), other.ranges_.begin(), other.ranges_.end());
  if (other.predicate_) predicate_ = other.predicate_;
}

// Overlapping ranges become one, so that a binary search finds the only one that may contain.
void CharSet::sort() {
  std::sort(ranges_.begin(), ranges_.end());
  size_t last = 0;
  for (size_t i = 1; i < ranges_.size(); ++i) {
    if (ranges_[i].first <= ranges_[last].second) {
      ranges_[last].second = std::max(ranges_[last].second, ranges_[i].second);
    } else {
      ranges_[++last] = ranges_[i];
    }
  }
  ranges_.resize(std::min(last + 1, ranges_.size()));
}

bool CharSet::contains(char32_t c) const {
  const auto after =
      std::upper_bound(ranges_.begin(), ranges_.end(), c,
                       [](char32_t x, const auto& range) { return x < range.first; });
  if (after != ranges_.begin() && c <= std::prev(after)->second) return true;
  return predicate_ && predicate_(c);
}

CharPattern::CharPattern(std::initializer_list<std::u32string_view> alternatives,
                         const CharClasses& classes) {
  for (std::u32string_view rest : alternatives) {
    Alternative& alternative = alternatives_.emplace_back();
    alternative.at_start = rest.starts_with(U'^');
    if (alternative.at_start) rest.remove_prefix(1);
    while (!rest.empty()) {
      const std::u32string_view set = rest.substr(0, rest.find(U' '));
      alternative.sets.emplace_back(set, classes);
      rest.remove_prefix(std::min(set.size() + 1, rest.size()));
    }
  }
}

bool CharPattern::Alternative::fits(std::u32string_view text, size_t pos) const {
  if ((at_start && pos > 0) || text.size() - pos < sets.size()) return false;
  for (size_t i = 0; i < sets.size(); ++i)
    if (!sets[i].contains(text[pos + i])) return false;
  return true;
}

size_t CharPattern::match(std::u32string_view text, size_t pos) const {
  for (const Alternative& alternative : alternatives_)
    if (alternative.fits(text, pos)) return alternative.sets.size();
  return 0;
}

bool CharPattern::found_in(std::u32string_view text) const {
  for (size_t pos = 0; pos < text.size(); ++pos)
    if (match(text, pos) > 0) return true;
  return false;
}

}  // namespace diptych
