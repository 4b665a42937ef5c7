// tensor/io/sha256.h — SHA-256, by which files are recognised.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "tensor/io/file.h"

namespace diptych {

/// The SHA-256 (FIPS 180-4) of bytes that come piece by piece.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void add(const void* data, int64_t bytes);
  void add_file(const InputFile&);  ///< all of it, read piece by piece
  /// Of all that was added, as 64 lower-case hexadecimal digits. Begins anew.
  std::string hex();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string sha256(std::string_view bytes);

std::string sha256_of_file(const InputFile&);

}  // namespace diptych
