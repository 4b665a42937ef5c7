// clip/weights/quoted_list.cpp — several names in a message.
#include "clip/weights/quoted_list.h"

#include <algorithm>

#include "tensor/io/file.h"

namespace diptych {

std::string quoted_list(const std::vector<std::string>& names, size_t most) {
  std::string text;
  for (size_t i = 0; i < std::min(most, names.size()); ++i)
    text += (i == 0 ? "" : ", ") + in_quotes(names[i]);
  return names.size() <= most ? text : text + ", … (" + std::to_string(names.size()) + " in all)";
}

}  // namespace diptych
