// data/pair_list.cpp — texts one behind the other in pieces of memory.
#include "data/pair_list.h"

#include <algorithm>
#include <filesystem>

#include "data/text/texts.h"
#include "tensor/types.h"

namespace diptych {
namespace {

constexpr size_t kMaxPathBytes = 4096;  // PATH_MAX of Linux

}  // namespace

char* PairList::room(size_t bytes) {
  constexpr size_t kPiece = 1 << 20;  // more than the longest path and caption
  if (bytes > free_bytes_) {
    free_bytes_ = kPiece;
    pieces_.push_back(std::make_unique_for_overwrite<char[]>(free_bytes_));
    free_ = pieces_.back().get();
  }
  char* const begin = free_;
  free_ += bytes;
  free_bytes_ -= bytes;
  return begin;
}

void PairList::add(std::string_view path, std::string_view second, bool bad) {
  char* const text = room(path.size() + second.size());
  std::copy(path.begin(), path.end(), text);
  std::copy(second.begin(), second.end(), text + path.size());
  pairs_.push_back({text, static_cast<uint32_t>(path.size()), bad,
                    static_cast<uint32_t>(second.size()) & 0x7fffffff});
}

void PairList::add(std::string_view path, std::string_view caption) {
  if (caption.size() > kMaxTextBytes)
    return add_bad(
        path, "its caption is longer than " + std::to_string(kMaxTextBytes) + " bytes; shorten it");
  if (path.size() > kMaxPathBytes) return add_bad(path, "its path is too long for a file");
  add(path, caption, false);
}

void PairList::add_bad(std::string_view path, std::string_view reason) {
  add(path.substr(0, kMaxPathBytes), reason.substr(0, kMaxTextBytes), true);
}

std::string PairList::path(int64_t index) const {
  return (std::filesystem::path(folder_) / given_path(index)).string();
}

std::string_view PairList::given_path(int64_t index) const {
  const Pair& pair = at(index);
  return {pair.text, pair.path_bytes};
}

std::string_view PairList::caption(int64_t index) const {
  const Pair& pair = at(index);
  return pair.bad ? std::string_view() : second(pair);
}

void PairList::check_good(int64_t index) const {
  const Pair& pair = at(index);
  if (pair.bad) fail("pairs: ", path(index), ": ", second(pair));
}

}  // namespace diptych
