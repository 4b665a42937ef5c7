// data/text/code_pages.cpp — the upper halves of ten single-byte encodings (Unicode's mapping
// tables).
#include "data/text/code_pages.h"

#include <array>
#include <unordered_map>

namespace diptych {
namespace {

constexpr char32_t kSubstitute = 0x1A, kReplacement = 0xFFFD;

constexpr CodePage kPages[] = {
    {"latin-1", false,
     U"\u0080\u0081\u0082\u0083\u0084\u0085\u0086\u0087\u0088\u0089\u008A\u008B\u008C\u008D\u008E"
     U"\u008F"
     U"\u0090\u0091\u0092\u0093\u0094\u0095\u0096\u0097\u0098\u0099\u009A\u009B\u009C\u009D\u009E"
     U"\u009F"
     U"\u00A0¡¢£¤¥¦§¨©ª«¬\u00AD®¯°±²³´µ¶·¸¹º»¼½¾¿ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏ"
     U"ÐÑÒÓÔÕÖ×ØÙÚÛÜÝÞßàáâãäåæçèéêëìíîïðñòóôõö÷øùúûüýþÿ"},
    {"windows-1252", true,
     U"€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008DŽ\u008F"
     U"\u0090‘’“”•–—˜™š›œ\u009DžŸ"
     U"\u00A0¡¢£¤¥¦§¨©ª«¬\u00AD®¯°±²³´µ¶·¸¹º»¼½¾¿ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏ"
     U"ÐÑÒÓÔÕÖ×ØÙÚÛÜÝÞßàáâãäåæçèéêëìíîïðñòóôõö÷øùúûüýþÿ"},
    {"windows-1251", true,
     U"ЂЃ‚ѓ„…†‡€‰Љ‹ЊЌЋЏ"
     U"ђ‘’“”•–—\u0098™љ›њќћџ"
     U"\u00A0ЎўЈ¤Ґ¦§Ё©Є«¬\u00AD®Ї°±Ііґµ¶·ё№є»јЅѕїАБВГДЕЖЗИЙКЛМНОП"
     U"РСТУФХЦЧШЩЪЫЬЭЮЯабвгдежзийклмнопрстуфхцчшщъыьэюя"},
    {"windows-1250", true,
     U"€\u0081‚\u0083„…†‡\u0088‰Š‹ŚŤŽŹ"
     U"\u0090‘’“”•–—\u0098™š›śťžź"
     U"\u00A0ˇ˘Ł¤Ą¦§¨©Ş«¬\u00AD®Ż°±˛ł´µ¶·¸ąş»Ľ˝ľżŔÁÂĂÄĹĆÇČÉĘËĚÍÎĎ"
     U"ĐŃŇÓÔŐÖ×ŘŮÚŰÜÝŢßŕáâăäĺćçčéęëěíîďđńňóôőö÷řůúűüýţ˙"},
    {"windows-1253", true,
     U"€\u0081‚ƒ„…†‡\u0088‰\u008A‹\u008C\u008D\u008E\u008F"
     U"\u0090‘’“”•–—\u0098™\u009A›\u009C\u009D\u009E\u009F"
     U"\u00A0΅Ά£¤¥¦§¨©ª«¬\u00AD®―°±²³΄µ¶·ΈΉΊ»Ό½ΎΏΐΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟ"
     U"ΠΡÒΣΤΥΦΧΨΩΪΫάέήίΰαβγδεζηθικλμνξοπρςστυφχψωϊϋόύώÿ"},
    {"windows-1254", true,
     U"€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008D\u008E\u008F"
     U"\u0090‘’“”•–—˜™š›œ\u009D\u009EŸ"
     U"\u00A0¡¢£¤¥¦§¨©ª«¬\u00AD®¯°±²³´µ¶·¸¹º»¼½¾¿ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏ"
     U"ĞÑÒÓÔÕÖ×ØÙÚÛÜİŞßàáâãäåæçèéêëìíîïğñòóôõö÷øùúûüışÿ"},
    {"windows-1257", true,
     U"€\u0081‚\u0083„…†‡\u0088‰\u008A‹\u008C¨ˇ¸"
     U"\u0090‘’“”•–—\u0098™\u009A›\u009C¯˛\u009F"
     U"\u00A0¡¢£¤¥¦§Ø©Ŗ«¬\u00AD®Æ°±²³´µ¶·ø¹ŗ»¼½¾æĄĮĀĆÄÅĘĒČÉŹĖĢĶĪĻ"
     U"ŠŃŅÓŌÕÖ×ŲŁŚŪÜŻŽßąįāćäåęēčéźėģķīļšńņóōõö÷ųłśūüżž˙"},
    {"iso-8859-2", false,
     U"\u0080\u0081\u0082\u0083\u0084\u0085\u0086\u0087\u0088\u0089\u008A\u008B\u008C\u008D\u008E"
     U"\u008F"
     U"\u0090\u0091\u0092\u0093\u0094\u0095\u0096\u0097\u0098\u0099\u009A\u009B\u009C\u009D\u009E"
     U"\u009F"
     U"\u00A0Ą˘Ł¤ĽŚ§¨ŠŞŤŹ\u00ADŽŻ°ą˛ł´ľśˇ¸šşťź˝žżŔÁÂĂÄĹĆÇČÉĘËĚÍÎĎ"
     U"ĐŃŇÓÔŐÖ×ŘŮÚŰÜÝŢßŕáâăäĺćçčéęëěíîďđńňóôőö÷řůúűüýţ˙"},
    {"macroman", false,
     U"ÄÅÇÉÑÖÜáàâäãåçéè"
     U"êëíìîïñóòôöõúùûü"
     U"†°¢£§•¶ß®©™´¨≠ÆØ∞±≤≥¥µ∂∑∏π∫ªºΩæø¿¡¬√ƒ≈∆«»…\u00A0ÀÃÕŒœ"
     U"–—“”‘’÷◊ÿŸ⁄€‹›ﬁﬂ‡·‚„‰ÂÊÁËÈÍÎÏÌÓÔ\uF8FFÒÚÛÙıˆ˜¯˘˙˚¸˝˛ˇ"},
    {"cp437", false,
     U"ÇüéâäàåçêëèïîìÄÅ"
     U"ÉæÆôöòûùÿÖÜ¢£¥₧ƒ"
     U"áíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧"
     U"╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00A0"},
};

using Bytes = std::unordered_map<char32_t, char32_t>;  // character → byte

Bytes make_bytes(const CodePage& page) {
  Bytes bytes;
  for (char32_t c = 0; c < 0x80; ++c) bytes[c] = c;
  for (char32_t i = 0; i < 0x80; ++i) bytes[page.upper[i]] = 0x80 + i;
  if (page.substitutes) {
    bytes.erase(kSubstitute);
    bytes[kReplacement] = kSubstitute;
  }
  return bytes;
}

const Bytes& bytes_of(const CodePage& page) {
  static const auto all = [] {
    std::array<Bytes, std::size(kPages)> made;
    for (size_t i = 0; i < made.size(); ++i) made[i] = make_bytes(kPages[i]);
    return made;
  }();
  return all[static_cast<size_t>(&page - kPages)];
}

}  // namespace

std::span<const CodePage> code_pages() { return kPages; }

std::optional<std::u32string> to_bytes(std::u32string_view text, const CodePage& page) {
  const Bytes& bytes = bytes_of(page);
  std::u32string out;
  out.reserve(text.size());
  for (char32_t c : text) {
    const auto found = bytes.find(c);
    if (found == bytes.end()) return std::nullopt;
    out.push_back(found->second);
  }
  return out;
}

char32_t windows_1252(char32_t c) {
  return c >= 0x80 && c <= 0x9F ? kPages[kWindows1252].upper[c - 0x80] : c;
}

}  // namespace diptych
