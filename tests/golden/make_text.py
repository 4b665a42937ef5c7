#!/usr/bin/env python3
"""Writes text.json: captions and what OpenAI's cleaning makes of them. Needs ftfy (6.3.1 used).

{"group": [[raw, cleaned], ...], ...}; marks, spaces, controls and private characters are escaped.
The first groups are lists of everything there is of a kind; the others are captions in many
scripts, broken in many ways.
"""
import html
import html.entities
import json
import pathlib
import random
import re
import unicodedata

import ftfy

FILE = pathlib.Path(__file__).parent / "text.json"

# Sentences of article 1 of the Universal Declaration of Human Rights, and captions.
CAPTIONS = [
    "All human beings are born FREE and equal.", "Alle Menschen sind frei, GRÖSSE und Straße",
    "Tous les êtres humains naissent libres À L’ÉTÉ, cœur",
    "Todos los SERES humanos, ¿mañana? ¡Ñ!", "Wszyscy LUDZIE rodzą się wolni, ŁÓDŹ żółw",
    "Všichni lidé ŽLUŤOUČKÝ kůň", "ĐẶC BIỆT tiếng Việt", "Bütün insanlar İSTANBUL ISPARTA ığdır",
    "Όλοι οι άνθρωποι ΓΕΝΝΙΟΥΝΤΑΙ ΕΛΕΎΘΕΡΟΙ ΟΔΥΣΣΕΎΣ", "Все ЛЮДИ рождаются свободными",
    "Всі ЇЖАКИ та Ґанок", "Բոլոր ՄԱՐԴԻԿ ծնվում են", "ყველა ადამიანი", "ᲧᲕᲔᲚᲐ ადამიანი",
    "כל בני האדם נולדו בני חורין", "يولد جميع الناس أحرارًا ١٢٣", "تمام انسان آزاد",
    "सभी मनुष्यों को गौरव ४२", "সব মানুষ স্বাধীনভাবে", "ਸਾਰਾ ਮਨੁੱਖੀ ਪਰਿਵਾਰ", "દરેક માનવી સ્વતંત્ર",
    "மனிதப் பிறிவியினர் சகலரும்", "ప్రతిపత్తిస్వత్వముల", "ಎಲ್ಲಾ ಮಾನವರೂ", "മനുഷ്യരെല്ലാവരും",
    "සියලු මනුෂ්‍යයෝ", "เราทุกคนเกิดมาอย่างอิสระ ๒๐", "ມະນຸດທຸກຄົນເກີດມາ", "လူတိုင်းသည်",
    "មនុស្សទាំងអស់", "བོད་སྐད་ཡིག", "すべての人間は、ﾊﾝｶｸ ガギグ", "人人生而自由，１２３ ＡＢＣ", "모든 인간은 ﾡﾢ 자유",
    "ሁሉም ሰዎች ነጻ", "ᏣᎳᎩ ꭰꭱ", "ᐃᓄᐃᑦ", "ߒߞߏ", "ⴰⵣⵓⵍ", "a photo of a dog's 🐕‍🦺 &amp; cat 👍🏽 🇫🇷",
    "𝒜𝔅 ℌ ① Ⅳ ½ x² CO₂ №5", "ǅ ǈ Ǆar ĳsje ŉ ﬂuﬃeﬆ ﬅill", "Æon œuvre ẞ ſ K Å Ω",
    "they're 'SAMPLE' I'LL we'VE DON'T it'ſ"]
PAGES = ["latin-1", "cp1252", "cp1251", "cp1250", "cp1253", "cp1254", "cp1257", "iso-8859-2",
         "mac_roman", "cp437"]


def clean(text):
    text = html.unescape(html.unescape(ftfy.fix_text(text)))
    return re.sub(r"\s+", " ", text).strip().lower()


def misread(text, page):
    """UTF-8 taken for `page`; bytes without a meaning there stay what they are."""
    out = ""
    for byte in text.encode():
        try:
            out += bytes([byte]).decode(page)
        except UnicodeDecodeError:
            out += chr(byte)
    return out


def entities():
    names = sorted(html.entities.html5)
    for i in range(0, len(names), 30):
        yield " ".join("&" + name for name in names[i:i + 30])


def references():
    yield from (
        "&AMPx &ampamp; &notit; &notin; &gtcc; &GTCC; &lt;b&gt; &amp;amp;amp;amp;lt; &unknown;",
        "&EACUTE; &NTILDE; &SZLIG; &FILIG; &NAPOS; &nTILDE; &FRAC12; &AMP; &AC;", "a&b & c&; &#",
        "<b> &EACUTE; &eacute; &eacute\n&EACUTE;", "&EACUTE;\n<b>\n&EACUTE;",
        "&acE; &NotEqualTilde;", "&am&#112;; &#38;lt; &#x26;amp;", "&#59; &lt&#59; &#x3b;",
        "&CounterClockwiseContourIntegral;", "&thereforethereforethereforetherefore;",
        "&ThickSpace;x&nbsp;y&Tab;z&NewLine;", "&bne; &fjlig;")
    yield from (f"&#{n}; &#{n}z &#x{n:x}; &#X{n:X};;" for n in (
        0, 1, 9, 10, 13, 31, 38, 60, 65, 127, 128, 129, 133, 146, 159, 160, 233, 0x3A3, 0xD7FF,
        0xD800, 0xDFFF, 0xFDD0, 0xFFFE, 0x1F600, 0x10FFFF, 0x110000, 10**20))


def characters():
    yield from (f"a{chr(c)}B" for c in (
        *range(0x00, 0x20), *range(0x7F, 0xA2), 0xAD, 0x2BC, *range(0x2018, 0x2020),
        *range(0x200B, 0x2010), 0x2028, 0x2029, 0x202E, *range(0x206A, 0x2070), 0x1680, 0x180E,
        0x2003, 0x202F, 0x205F, 0x3000, 0xFEFF, *range(0xFFF9, 0xFFFE), 0xE000, 0xF8FF, 0x132,
        0x133, 0x149, *range(0x1C4, 0x1CD), *range(0x1F1, 0x1F4), *range(0xFB00, 0xFB07), 0xFB13,
        0xFF01, 0xFF21, 0xFF5E, 0xFF76, 0xFF9E, 0xFFA1, 0xFFE3, 0xFFE6, 0xFFE8, 0xE0041, 0x1D173))
    yield from (
        "\x1b[31mred\x1b[0m", "\x1b[1;5mA\x1b[K \x1b[?25l \x1b[;", "a\r\nb\rc\x85d\u2028e\u2029f",
        "  \t many \n\n spaces\x0b\x0c \u3000", "ΑΣ. ΑΣ' ΑΣ'Α Σ ΑΣΣ Α\u00ADΣ Α\u0301Σ \u1E9Eß İI")


def normal_forms():
    yield from (
        "e\u0301 E\u0301 o\u0308\u0304 a\u0327\u0301 a\u0301\u0327 q\u0307\u0323 q\u0323\u0307",
        "\u212B \u2126 \u212A \u1E9B\u0323 \u0344 \u0340 \u0374 \u037E \u0387",
        "\u1100\u1161\u11A8",
        "\u0915\u093C \u0958 \u09C7\u09BE \u0B47\u0B57 \u0DD9\u0DCF \u1025\u102E", "\uFB1D \uFB2A",
        "\u30AB\u3099 \uFF76\uFF9E \uFF8A\uFF9F", "\uF900 \U0002F800", "\u0F73 \u0F71\u0F72 \u0F77")


def mojibake():
    rng = random.Random(7)
    for caption in CAPTIONS:
        for page in rng.sample(PAGES, 2):
            yield misread(caption, page)
        yield misread(misread(caption, "cp1252"), "cp1252")
        yield caption + " " + misread(caption.split()[-1], rng.choice(PAGES))
    yield from (
        "voilÃ le travail, Ã la mode, Ã quele, fÃ cil", "Ã quel point",
        "â€œlostâ€\ufffd Ã? Ã© d\x1aÃ", "AÃ±o — Ã‘and\u00fa", "sÃ³lo â€¦ \x85", "Ð¿Ñ€Ð¸Ð²ÐµÑ‚",
        "í\xa0½í¸\x80 cesu Ã© À\x80", "Å Å¡", "×³ €¬")


def to_json(value):
    """JSON that an editor shows as it is and a normalising one leaves alone."""
    return "".join(json.dumps(c)[1:-1] if unicodedata.category(c)[0] in "CZM" and c != " " else c
                   for c in json.dumps(value, ensure_ascii=False))


def main():
    groups = {"entities": entities(), "references": references(), "characters": characters(),
              "normal forms": normal_forms(), "captions": CAPTIONS, "mojibake": mojibake()}
    pairs = {name: [[raw, clean(raw)] for raw in texts] for name, texts in groups.items()}
    lines = (to_json(name) + ": [\n" + ",\n".join(to_json(pair) for pair in rows) + "\n]"
             for name, rows in pairs.items())
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print({name: len(rows) for name, rows in pairs.items()}, FILE.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
