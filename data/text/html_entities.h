// data/text/html_entities.h — HTML character references such as &eacute; and &#233;.
#pragma once

#include <string>
#include <string_view>

namespace diptych {

/// Python's html.unescape: numeric references, and HTML5's 2231 names; of a name without semicolon
/// the longest beginning that HTML knows without one ("&notit" is "¬it").
std::u32string unescape_html(std::u32string_view);

/// ftfy's, which is for text that may not be HTML: a reference has to end in a semicolon, and a
/// name may stand in capitals where that is unambiguous (&EACUTE; is É).
std::u32string unescape_closed_html(std::u32string_view);

/// The generated table: see tests/golden/make_entities.py.
std::string_view html_entity_rows();

}  // namespace diptych
