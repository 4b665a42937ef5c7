// data/text/code_pages.h — single-byte encodings that UTF-8 is most often mistaken for.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace diptych {

struct CodePage {
  std::string_view name;
  bool substitutes;           ///< whether byte 0x1A means U+FFFD, a character lost before
  std::u32string_view upper;  ///< bytes 0x80 … 0xFF; those without a meaning stand for themselves
};

/// latin-1, windows-1252, 1251, 1250, 1253, 1254, 1257, iso-8859-2, macroman, cp437: ftfy's order.
std::span<const CodePage> code_pages();
inline constexpr size_t kWindows1252 = 1, kLetterPages = 7;  ///< the first seven are for letters

/// The bytes of a text, each as a char32_t 0 … 255; nothing if the page lacks a character of it.
std::optional<std::u32string> to_bytes(std::u32string_view text, const CodePage&);

/// A control character U+0080 … U+009F as the Windows-1252 byte it was meant to be; any other code
/// point as it is.
char32_t windows_1252(char32_t);

}  // namespace diptych
