// tests/mutants.h — random edits of files, for readers that must survive them.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <random>
#include <string>

namespace diptych::test {

/// How many mutants a test makes: `usual`, or what DIPTYCH_MUTANTS says.
inline int mutants(int usual) {
  const char* wanted = std::getenv("DIPTYCH_MUTANTS");
  return wanted ? std::atoi(wanted) : usual;
}

/// How many mutants each reader of weights meets, and each reader of what lies beside them.
/// Sanitizers are ten times slower.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline const int kMutants = mutants(4'000);
inline constexpr int kFew = 500;
#else
inline const int kMutants = mutants(100'000);
inline constexpr int kFew = 2'000;
#endif

/// One random edit of bytes [begin, end): a flipped bit, a new byte, a changed digit, a range
/// removed or doubled. Does nothing if there are no bytes.
inline void mutate(std::string& bytes, std::mt19937_64& random, size_t begin = 0,
                   size_t end = std::string::npos) {
  end = std::min(end, bytes.size());
  if (begin >= end) return;
  const auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
  const size_t at = begin + below(end - begin);
  const size_t count = std::min(1 + below(8), end - at);
  switch (below(5)) {
    case 0:
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
      break;
    case 1:
      bytes[at] = static_cast<char>(below(256));
      break;
    case 2: {
      const size_t digit = bytes.find_first_of("0123456789", at);
      if (digit < end) bytes[digit] = static_cast<char>('0' + below(10));
      break;
    }
    case 3:
      bytes.erase(at, count);
      break;
    default:
      bytes.insert(at, bytes.substr(at, count));
  }
}

}  // namespace diptych::test
