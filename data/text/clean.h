// data/text/clean.h — from the bytes of a caption to the text that is cut into words.
#pragma once

#include <string>
#include <string_view>

namespace diptych {

/// Runs of white space become one space; none at either end.
std::u32string collapse_spaces(std::u32string_view);

/// CLIP's cleaning: broken text fixed (fix_text), entities unescaped twice, white space collapsed,
/// lower case.
std::u32string clean_text(std::string_view utf8);

}  // namespace diptych
