// tensor/io/sha256.h — SHA-256, by which files are recognised.
#pragma once

#include <string>
#include <string_view>

namespace diptych {

/// The SHA-256 (FIPS 180-4) of some bytes, as 64 lower-case hexadecimal digits.
std::string sha256(std::string_view bytes);

/// The same of a regular file of any size, read piece by piece. Throws Error, naming the file, if
/// it cannot be read.
std::string sha256_of_file(const std::string& path);

}  // namespace diptych
