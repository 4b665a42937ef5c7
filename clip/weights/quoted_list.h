// clip/weights/quoted_list.h — several names in a message.
#pragma once

#include <string>
#include <vector>

namespace diptych {

/// "'a', 'b', … (17 in all)": at most so many of them, in quotes and safe to print.
std::string quoted_list(const std::vector<std::string>& names, size_t most);

}  // namespace diptych
