// data/text/mojibake.h — UTF-8 that was read as something else, read again: "cafÃ©" is "café".
#pragma once

#include <string>
#include <string_view>

namespace diptych {

/// Whether a text has neighbours that hardly occur but in mojibake, such as "Ã©" (ftfy 6's
/// badness).
bool looks_like_mojibake(std::u32string_view text);

/// Undoes mistaken encodings as long as the text looks like mojibake (ftfy 6, fix_encoding): the
/// whole text if some code page turns it into valid UTF-8, else the parts that can be undone.
std::u32string fix_encoding(std::u32string text);

}  // namespace diptych
