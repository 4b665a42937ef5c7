// data/pair_list.h — paths and captions of many pictures, packed.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace diptych {

/// Picture files with their texts. A table has millions: a pair costs its bytes and 16 more, not
/// two strings, and nothing is copied when the list grows.
class PairList {
 public:
  /// `folder` goes before relative paths.
  explicit PairList(std::string folder = "") : folder_(std::move(folder)) {}

  /// A path or a caption that is too long makes a bad pair.
  void add(std::string_view path, std::string_view caption);
  /// A pair that is counted and named, but cannot be used.
  void add_bad(std::string_view path, std::string_view reason);

  int64_t size() const { return static_cast<int64_t>(pairs_.size()); }
  std::string path(int64_t index) const;
  /// As it was added, without the folder. This and the caption are valid as long as the list, or
  /// the one it is moved to.
  std::string_view given_path(int64_t index) const;
  /// Empty for a bad pair.
  std::string_view caption(int64_t index) const;
  /// Throws Error with the reason if the pair is bad.
  void check_good(int64_t index) const;

 private:
  struct Pair {
    const char* text;  // the path, then the caption, or the reason why there is none
    uint32_t path_bytes;
    uint32_t bad : 1, second_bytes : 31;
  };

  const Pair& at(int64_t index) const { return pairs_.at(static_cast<size_t>(index)); }
  char* room(size_t bytes);
  void add(std::string_view path, std::string_view second, bool bad);
  static std::string_view second(const Pair& pair) {
    return {pair.text + pair.path_bytes, pair.second_bytes};
  }

  std::string folder_;
  std::deque<Pair> pairs_;
  std::vector<std::unique_ptr<char[]>> pieces_;
  char* free_ = nullptr;  // in the last piece
  size_t free_bytes_ = 0;
};

}  // namespace diptych
