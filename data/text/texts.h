// data/text/texts.h — many texts, however they are kept.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace diptych {

/// The longest text that is tokenized, and the longest caption: ten times what the web's longest
/// alternative texts have. Cleaning a text takes up to 64 rounds, so a longer one would be felt.
inline constexpr int64_t kMaxTextBytes = 1 << 16;

/// Calls its argument with each text, in order.
using Texts = std::function<void(const std::function<void(std::string_view)>& each)>;

/// Those of a vector, which must live as long.
inline Texts texts_of(const std::vector<std::string>& texts) {
  return [&texts](const std::function<void(std::string_view)>& each) {
    for (const std::string& text : texts) each(text);
  };
}

}  // namespace diptych
