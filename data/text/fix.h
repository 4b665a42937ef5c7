// data/text/fix.h — text that went through the wrong hands, made plain (ftfy 6, fix_text).
#pragma once

#include <string>
#include <string_view>

namespace diptych {

/// Per line, until nothing changes: closed HTML references read (unless this line or an earlier one
/// has a "<", which marks real HTML), C1 controls read as Windows-1252, Latin ligatures taken
/// apart, half- and full-width forms made standard, quotes straightened, line breaks made "\n",
/// terminal colours and control characters removed, normal form C. `text` holds no surrogates, as
/// decode_utf8 ensures.
std::u32string fix_text(std::u32string_view text);

}  // namespace diptych
