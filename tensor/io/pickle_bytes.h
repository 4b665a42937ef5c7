// tensor/io/pickle_bytes.h — taking the arguments of opcodes off a pickle.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "tensor/types.h"

namespace diptych::detail {

/// The unread part of a pickle. Throws Error, starting with `where`, where bytes are missing.
class PickleBytes {
 public:
  PickleBytes(std::string& bytes, const std::string& where) : bytes_(bytes), where_(where) {}

  bool at_end() const { return position_ == bytes_.size(); }

  uint8_t opcode() {
    opcode_at_ = position_;
    return static_cast<uint8_t>(take(1)[0]);
  }

  /// Throws Error, saying at which opcode.
  template <class... Args>
  [[noreturn]] void refuse(const Args&... args) const {
    fail(where_, ": the pickle ", args..., " (at its byte ", opcode_at_, ")");
  }

  template <class... Args>
  void require(bool ok, const Args&... args) const {
    if (!ok) [[unlikely]] {
      refuse(args...);
    }
  }

  std::string_view take(size_t count) {
    require(count <= bytes_.size() - position_, "is cut short");
    const std::string_view out = std::string_view(bytes_).substr(position_, count);
    position_ += count;
    return out;
  }

  /// Little-endian.
  uint64_t unsigned_number(size_t size) {
    uint64_t value = 0;
    std::memcpy(&value, take(size).data(), size);
    return value;
  }

  /// Little-endian, in two's complement.
  int64_t signed_number(size_t size) {
    require(size <= sizeof(int64_t), "has a number of ", size, " bytes, which is too large");
    if (size == 0) return 0;
    const size_t unused = 8 * (sizeof(int64_t) - size);
    return static_cast<int64_t>(unsigned_number(size) << unused) >> unused;
  }

  /// Big-endian, as no other number.
  double real_number() {
    std::string bytes(take(sizeof(double)));
    std::reverse(bytes.begin(), bytes.end());
    double value;
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  }

  /// "module\nname\n", made "module.name" in place: no byte is read twice.
  std::string_view global_name() {
    const std::string_view module = line(), name = line();
    bytes_[static_cast<size_t>(name.data() - bytes_.data()) - 1] = '.';
    return {module.data(), module.size() + 1 + name.size()};
  }

 private:
  static_assert(std::endian::native == std::endian::little);

  /// The bytes up to the next line end, which is skipped.
  std::string_view line() {
    const size_t end = bytes_.find('\n', position_);
    require(end != bytes_.npos, "is cut short");
    const std::string_view out = take(end - position_);
    take(1);
    return out;
  }

  std::string& bytes_;
  const std::string& where_;
  size_t position_ = 0, opcode_at_ = 0;
};

}  // namespace diptych::detail
