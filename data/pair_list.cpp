// data/pair_list.cpp — texts one behind the other in pieces of memory.
#include "data/pair_list.h"

#include <algorithm>
#include <filesystem>

#include "tensor/types.h"

namespace diptych {

char* PairList::room(size_t bytes) {
  constexpr size_t kPiece = 1 << 20;
  if (bytes > free_bytes_) {
    free_bytes_ = std::max(kPiece, bytes);
    pieces_.push_back(std::make_unique_for_overwrite<char[]>(free_bytes_));
    free_ = pieces_.back().get();
  }
  char* const begin = free_;
  free_ += bytes;
  free_bytes_ -= bytes;
  return begin;
}

void PairList::add(std::string_view path, std::string_view caption) {
  check(std::max(path.size(), caption.size()) <= UINT32_MAX, "pairs: a path of ", path.size(),
        " bytes with a caption of ", caption.size());
  char* const text = room(path.size() + caption.size());
  std::copy(path.begin(), path.end(), text);
  std::copy(caption.begin(), caption.end(), text + path.size());
  pairs_.push_back(
      {text, static_cast<uint32_t>(path.size()), static_cast<uint32_t>(caption.size())});
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
  return {pair.text + pair.path_bytes, pair.caption_bytes};
}

}  // namespace diptych
