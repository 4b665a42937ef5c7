// data/text/texts.h — many texts, however they are kept.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace diptych {

/// Calls its argument with each text, in order.
using Texts = std::function<void(const std::function<void(std::string_view)>& each)>;

/// Those of a vector, which must live as long.
inline Texts texts_of(const std::vector<std::string>& texts) {
  return [&texts](const std::function<void(std::string_view)>& each) {
    for (const std::string& text : texts) each(text);
  };
}

}  // namespace diptych
