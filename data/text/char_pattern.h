// data/text/char_pattern.h — patterns of a few characters, each out of a set: all that ftfy's rules
// need of regular expressions.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace diptych {

class CharSet;
using CharClasses = std::unordered_map<char32_t, CharSet>;  ///< symbol → what it stands for

/// A set of code points.
class CharSet {
 public:
  CharSet() = default;
  /// Written as in the brackets of a regular expression: "à-ñß". A symbol of `classes` adds its
  /// set.
  explicit CharSet(std::u32string_view written, const CharClasses& classes = {});
  /// Everything for which `predicate` is true.
  explicit CharSet(bool (*predicate)(char32_t)) : predicate_(predicate) {}

  bool contains(char32_t) const;

 private:
  void add(const CharSet&);
  void sort();

  std::vector<std::pair<char32_t, char32_t>> ranges_;  // first, last; sorted
  bool (*predicate_)(char32_t) = nullptr;
};

/// Alternatives, each a sequence of sets with spaces between them; "^" in front ties one to the
/// start of the text.
class CharPattern {
 public:
  CharPattern(std::initializer_list<std::u32string_view> alternatives,
              const CharClasses& classes = {});

  /// Length of the first alternative that fits at `pos`; 0 if none does.
  size_t match(std::u32string_view text, size_t pos) const;
  bool found_in(std::u32string_view text) const;

 private:
  struct Alternative {
    bool at_start = false;
    std::vector<CharSet> sets;
    bool fits(std::u32string_view text, size_t pos) const;
  };
  std::vector<Alternative> alternatives_;
};

}  // namespace diptych
