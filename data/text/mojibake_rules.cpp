// data/text/mojibake_rules.cpp — what tells mojibake from text: the rules of ftfy 6's badness
// heuristic (Robyn Speer, Apache License 2.0).
#include "data/text/char_pattern.h"
#include "data/text/mojibake.h"
#include "data/text/unicode.h"

namespace diptych {
namespace {

bool is_word(char32_t c) { return c == '_' || is_letter(c) || is_number(c); }

// The characters that UTF-8 read through one of the code pages is made of, by their use in text.
CharClasses make_classes() {
  return {
      {U'c', CharSet(U"\u00A0\u00AD·´–—―…’")},  // common in good text too
      {U'1', CharSet(U"\u0080-\u009F")},
      {U'b', CharSet(U"¦¤¨¬¯¸ƒˆˇ˘˛˜†‡‰⌐◊\uFFFDªº")},  // hardly ever meant
      {U'w', CharSet(U"¶§")},
      {U'm', CharSet(U"¢£¥₧€")},
      {U's', CharSet(U"¡«¿©΄΅‘‚“„•‹\uF8FF")},  // starts a phrase
      {U'e', CharSet(U"®»˝”›™")},              // ends one
      {U'n', CharSet(U"²³¹±¼½¾×µ÷⁄∂∆∏∑√∞∩∫≈≠≡≤≥№")},
      {U'k', CharSet(U"Ò-ÖÙ-Üò-öø-üŐŌŪŲ°")},  // faces out of characters
      {U'U', CharSet(U"À-ÑØÜÝĂĀĄĆČĎĐĘĚĒĖĞĢİĪĶĹĽŁĻŃŇŅŒŘŚŞŠŢŤŮŰŸŹŻŽҐ")},
      {U'l', CharSet(U"ßà-ñăąāćčďđęěēėğģįīķĺľłļœŕśşšťüźżžґﬁﬂ")},
      {U'P', CharSet(U"ÞΑ-ΩΆΈΉΊΌΎΏΪΫЁ-Я")},
      {U'p', CharSet(U"α-ωάέήίΰа-џ")},
      {U'x', CharSet(U"│┌┐┘├┤┬┼═-╬▀▄█▌▐░▒▓")},
      {U'a', CharSet(U"a-z")},
      {U'A', CharSet(U"A-Z")},
      {U'N', CharSet([](char32_t c) { return (c | 0x20) < 'a' || (c | 0x20) > 'z'; })},
      {U'd', CharSet([](char32_t c) { return c != '\n'; })},
      {U'z', CharSet(U" ")},
      {U'_', CharSet(is_space)},
      {U'W', CharSet(is_word)},
  };
}

const CharPattern& mojibake() {
  static const CharPattern pattern(
      {
          U"1",
          U"blUxsemnw b",
          U"aA pP b",
          U"b lUxsemnw",
          U"lpxemn U",
          U"xemn l",
          U"lxe m",
          U"_ U m",
          U"Ux nw",
          U"lUxme s n",
          U"lUmnxw e s",
          U"mnx s",
          U"a U sm",
          U"x k",
          U"lUmnsew x",
          U"x e",
          U"lU se W",
          U"Œœ N",  // the ligature, but not before a letter as in œuvre
          U"U °",
          // windows-1252
          U"ÂÃÎÐ €œŠš¢£Ÿž\u00A0\u00AD®©°·»se–—´",
          U"× ²³",
          U"à ²µ¹¼½¾",
          U"ØÙ cmbnsŸŠ®°µ» ØÙ cmbnsŸŠ®°µ»",  // of Arabic
          // macroman
          U"√ ±∂†≠®™´≤≥¥µø",
          U"≈ °¢",
          U"‚ Ä ìîïòôúùû†°¢π",
          U"‚ âó àä°ê",
          // windows-1251
          U"в Ђ",
          U"ВГРС 1bsem°µ ВГРС",
          U"Г ў В Ђ В d aAz",
          // windows-1252 of à, á and the no-break space, whose bytes may have become spaces
          U"Ã \u00A0¡",
          U"a ÃÂ z",
          U"a _ ÃÂ z",
          U"^ÃÂ z",
          U"a.,?!e Â zse",
          // windows-1253
          U"β € ™\u00A0Ά\u00AD®°",
          U"ΒΓΞΟ 1bsem° ΒΓΞΟ",
          // windows-1257
          U"ā €",
      },
      make_classes());
  return pattern;
}

}  // namespace

bool looks_like_mojibake(std::u32string_view text) { return mojibake().found_in(text); }

}  // namespace diptych
