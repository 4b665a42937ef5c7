// tensor/io/machine.h — how much memory there is.
#pragma once

#include <cstdint>
#include <string>

namespace diptych {

/// Bytes that a program may use: what the kernel has available, or the limit of its control group
/// if that is less. INT64_MAX where neither is told. `root`: where /proc and /sys lie, for tests.
int64_t usable_memory(const std::string& root = "");

}  // namespace diptych
