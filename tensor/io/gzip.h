// tensor/io/gzip.h — whole gzip files in memory.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace diptych {

bool is_gzip(std::string_view bytes);  ///< by its first two bytes

/// The contents of a gzip file. Throws Error naming `name` if it is damaged, cut short, or unpacks
/// to more than `max_bytes`.
std::string gunzip(std::string_view bytes, int64_t max_bytes, const std::string& name);

}  // namespace diptych
