// clip/spelling.h — what a mistyped name may have meant.
#pragma once

#include <string>
#include <vector>

namespace diptych {

/// The name in `known` within two edits of `name`; empty if there is none.
std::string nearest(const std::string& name, const std::vector<std::string>& known);

}  // namespace diptych
