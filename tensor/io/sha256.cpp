// tensor/io/sha256.cpp — SHA-256 by GNU Nettle.
#include "tensor/io/sha256.h"

#include <nettle/sha2.h>

#include <algorithm>
#include <array>
#include <vector>

namespace diptych {

struct Sha256::State {
  sha256_ctx context;
};

Sha256::Sha256() : state_(std::make_unique<State>()) { sha256_init(&state_->context); }
Sha256::~Sha256() = default;

void Sha256::add(const void* data, int64_t bytes) {
  sha256_update(&state_->context, static_cast<size_t>(bytes), static_cast<const uint8_t*>(data));
}

void Sha256::add_file(const InputFile& file) {
  constexpr int64_t kPiece = 1 << 20;
  std::vector<char> piece(static_cast<size_t>(std::min(kPiece, file.size())));
  for (int64_t at = 0; at < file.size();) {
    const int64_t count = std::min(kPiece, file.size() - at);
    file.read_at(at, piece.data(), count);
    add(piece.data(), count);
    at += count;
  }
}

std::string Sha256::hex() {
  std::array<uint8_t, SHA256_DIGEST_SIZE> digest{};
  sha256_digest(&state_->context, digest.size(), digest.data());
  std::string out;
  for (const uint8_t byte : digest) {
    out += "0123456789abcdef"[byte >> 4];
    out += "0123456789abcdef"[byte & 15];
  }
  return out;
}

std::string sha256(std::string_view bytes) {
  Sha256 hash;
  hash.add(bytes.data(), static_cast<int64_t>(bytes.size()));
  return hash.hex();
}

std::string sha256_of_file(const InputFile& file) {
  Sha256 hash;
  hash.add_file(file);
  return hash.hex();
}

}  // namespace diptych
