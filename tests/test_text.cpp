// tests/test_text.cpp — cleaning of captions against Python's html.unescape, str.lower and ftfy.
#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "data/text/char_pattern.h"
#include "data/text/clean.h"
#include "data/text/code_pages.h"
#include "data/text/fix.h"
#include "data/text/html_entities.h"
#include "data/text/lengths.h"
#include "data/text/mojibake.h"
#include "data/text/unicode.h"

using namespace diptych;

namespace {

std::string clean(std::string_view text) { return encode_utf8(clean_text(text)); }
std::string fixed(std::string_view text) { return encode_utf8(fix_text(decode_utf8(text))); }

}  // namespace

TEST_CASE("utf-8: what is not UTF-8 becomes U+FFFD as in Python") {
  CHECK(decode_utf8("a\xFF"
                    "b") == U"a\uFFFDb");
  CHECK(decode_utf8("\xE2\x82") == U"\uFFFD");  // cut short: one
  CHECK(decode_utf8("\xE2\x82z") == U"\uFFFDz");
  CHECK(decode_utf8("\xC0\xAF") == U"\uFFFD\uFFFD");                      // overlong
  CHECK(decode_utf8("\xED\xA0\x80") == U"\uFFFD\uFFFD\uFFFD");            // a surrogate
  CHECK(decode_utf8("\xF4\x90\x80\x80") == U"\uFFFD\uFFFD\uFFFD\uFFFD");  // above U+10FFFF
  CHECK(decode_utf8("\xF0\x9F\x98\x80é") == U"\U0001F600é");
  CHECK(encode_utf8(U"é\U0001F600") == "é\xF0\x9F\x98\x80");
}

TEST_CASE("cleaning: white space, entities and case as Python has them") {
  CHECK(clean("  A\t b\u00A0\u3000c\x1C d \n") == "a b c d");
  CHECK(clean("&amp;amp; &LT;x&gt &#65;&#x42; &#128; &unknown; & &#;") ==
        "& <x> ab € &unknown; & &#;");
  CHECK(clean("&#0;&#xD800;&#99999999999;") == "\uFFFD\uFFFD\uFFFD");
  CHECK(clean("a&#1;b") == "ab");
  CHECK(clean("İSTANBUL") == "i̇stanbul");
  CHECK(clean("ΟΔΟΣ ΟΔΟΣ, Σ ΣΑ Α'Σ ΑΣ'Α ΑΣΑ") == "οδος οδος, σ σα α'ς ασ'α ασα");
  CHECK(clean("") == "");
}

TEST_CASE("cleaning: captions in many scripts and states come out as Python and ftfy clean them") {
  std::ifstream file("tests/golden/text.json");
  const auto groups = nlohmann::json::parse(file);
  size_t pairs = 0;
  for (const auto& [group, rows] : groups.items()) {
    CAPTURE(group);
    for (const auto& row : rows) CHECK(clean(row[0].get<std::string>()) == row[1]);
    pairs += rows.size();
  }
  CHECK(pairs > 400);
}

TEST_CASE("html: HTML5's 2231 names are known, 106 of them without a semicolon") {
  int64_t closed = 0, open = 0;
  for (char c : html_entity_rows()) {
    closed += c == '=' || c == '~';
    open += c == '~';
  }
  CHECK(closed + open == 2231);
  CHECK(open == 106);
  CHECK(unescape_html(U"&acE;&ngE; &notit; &notin; &am;") == U"∾\u0333≧\u0338 ¬it; ∉ &am;");
}

TEST_CASE(
    "html: in text that may not be HTML a reference has to be closed, and may be in capitals") {
  CHECK(unescape_closed_html(U"AT&T this&not that &eacute;&EACUTE;&SZLIG;") ==
        U"AT&T this&not that éÉSS");
  CHECK(unescape_closed_html(U"&nTILDE; &#65; &#65 &#59; &#12a;") ==
        U"&nTILDE; A &#65 &#59; &#12a;");
  CHECK(unescape_closed_html(U"&DoubleLongLeftArrow;&CounterClockwiseContourIntegral;") ==
        U"⟸&CounterClockwiseContourIntegral;");  // longer than ftfy looks
}

TEST_CASE("fixing: references stay where a line or one before it has real HTML") {
  CHECK(fixed("&amp;\n<b>&amp;\n&amp;") == "&\n<b>&amp;\n&amp;");
}

TEST_CASE("fixing: nested references come to an end") {
  std::string nested = "&";
  for (int i = 0; i < 20'000; ++i) nested += "amp;";
  CHECK(fixed(nested).size() < nested.size());
  CHECK(fixed("&amp;amp;amp;amp;lt;") == "<");
}

TEST_CASE("fixing: marks in any order come into the canonical one, however many") {
  std::u32string marks;
  for (int i = 0; i < 20'000; ++i) marks += U"\u0301\u0327";  // class 230 before class 202
  const std::u32string sorted = nfc(U"a" + marks);
  CHECK(sorted.substr(0, 3) == U"á\u0327\u0327");
  CHECK(sorted.back() == 0x301);
  CHECK(sorted.size() == marks.size());
}

TEST_CASE("mojibake: UTF-8 read as each code page comes back, and good text stays") {
  const std::u32string original = U"Это “naïve” café, 10 € – Žluťoučký kůň";
  for (const CodePage& page : code_pages()) {
    CAPTURE(page.name);
    std::u32string misread;
    for (char byte : encode_utf8(original)) {
      const auto b = static_cast<unsigned char>(byte);
      misread.push_back(b < 0x80 ? b : page.upper[b - 0x80u]);
    }
    CHECK(fix_encoding(misread) == original);
  }
  CHECK(fix_encoding(original) == original);
  CHECK(fix_encoding(U"Señor Ångström à la carte, Ελληνικά, Ôô") ==
        U"Señor Ångström à la carte, Ελληνικά, Ôô");
}

TEST_CASE("mojibake: lost bytes, parts of a text and several layers") {
  CHECK(fix_encoding(U"voilÃ le travail") == U"voilà le travail");
  CHECK(fix_encoding(U"日本 cafÃ©") == U"日本 café");
  CHECK(fix_encoding(U"\u00E2\u0080\u009Cx\u0085") == U"“x…");
  CHECK(fix_encoding(U"â€œlostâ€\uFFFD") == U"“lost\uFFFD");
  CHECK(fix_encoding(U"í\u00A0½í¸\u0080 Ã©") == U"\U0001F600 é");
  CHECK(fix_encoding(U"ÃƒÂ©") == U"é");
  CHECK(fix_encoding(U"√± – x") == U"√± – x");  // macroman's byte 0xD0 is a dash before a space
}

TEST_CASE("code pages: every byte has a character of its own") {
  CHECK(code_pages().size() == 10);
  for (const CodePage& page : code_pages()) {
    CAPTURE(page.name);
    CHECK(std::set<char32_t>(page.upper.begin(), page.upper.end()).size() == 128);
    CHECK(to_bytes(page.upper.substr(127), page) == std::u32string(1, 0xFF));
    CHECK(to_bytes(U"\uFFFD", page).has_value() == page.substitutes);
    CHECK(to_bytes(U"\x1A", page).has_value() != page.substitutes);
    CHECK(!to_bytes(U"日", page));
  }
}

TEST_CASE("patterns: alternatives are tried in order, sets may have ranges and classes") {
  const CharPattern pattern({U"^x", U"a-c V", U"a", U"V V V"}, {{U'V', CharSet(U"0-9é")}});
  CHECK(pattern.match(U"b7", 0) == 2);
  CHECK(pattern.match(U"ab", 0) == 1);
  CHECK(pattern.match(U"b", 0) == 0);
  CHECK(pattern.match(U"xx", 0) == 1);
  CHECK(pattern.match(U"xx", 1) == 0);
  CHECK(pattern.found_in(U"--1é2"));
  CHECK(!pattern.found_in(U"-x-d9"));
}

TEST_CASE("text: lengths count start and end, and say which text is longer than the context") {
  const Tokenizer letters = Tokenizer::train(std::vector<std::string>{"x"}, Tokenizer::kSmallest);
  const std::vector<std::string> texts = {"abcd", "abcdef", "abcde", "abcdefg"};
  const TextLengths all = measure_lengths(letters, texts_of(texts), 7);
  CHECK(all.texts == 4);
  CHECK(all.longer == 2);
  CHECK(all.longest == 9);
  CHECK(all.first_longer == "abcdef");
  const TextLengths half = measure_lengths(letters, texts_of(texts), 7, 2);
  CHECK(half.texts == 2);
  CHECK(half.longest == 7);
}
