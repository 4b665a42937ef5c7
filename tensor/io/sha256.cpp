// tensor/io/sha256.cpp — SHA-256 by GNU Nettle.
#include "tensor/io/sha256.h"

#include <nettle/sha2.h>

#include <algorithm>
#include <array>
#include <vector>

#include "tensor/io/file.h"

namespace diptych {
namespace {

constexpr int64_t kPiece = 1 << 20;

class Hash {
 public:
  Hash() { sha256_init(&state_); }

  void add(const char* bytes, size_t count) {
    sha256_update(&state_, count, reinterpret_cast<const uint8_t*>(bytes));
  }

  std::string hex() {
    std::array<uint8_t, SHA256_DIGEST_SIZE> digest{};
    sha256_digest(&state_, digest.size(), digest.data());
    std::string out;
    for (const uint8_t byte : digest) {
      out += "0123456789abcdef"[byte >> 4];
      out += "0123456789abcdef"[byte & 15];
    }
    return out;
  }

 private:
  sha256_ctx state_;
};

}  // namespace

std::string sha256(std::string_view bytes) {
  Hash hash;
  hash.add(bytes.data(), bytes.size());
  return hash.hex();
}

std::string sha256_of_file(const std::string& path) {
  const InputFile file("sha256", path);
  std::vector<char> piece(static_cast<size_t>(std::min(kPiece, file.size())));
  Hash hash;
  for (int64_t at = 0; at < file.size();) {
    const int64_t count = std::min(kPiece, file.size() - at);
    file.read_at(at, piece.data(), count);
    hash.add(piece.data(), static_cast<size_t>(count));
    at += count;
  }
  return hash.hex();
}

}  // namespace diptych
