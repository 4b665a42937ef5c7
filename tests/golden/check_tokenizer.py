#!/usr/bin/env python3
"""Tokenizes captions in many languages with `diptych tokenize` and with OpenAI's algorithm.

    tests/golden/check_tokenizer.py [--diptych build/diptych] [--vocab vocab/bpe_...txt.gz]

Needs ftfy and regex, the vocabulary (make vocab), and captions from the Debian packages
wordnet-base, tuxpaint-stamps-default and unicode-cldr-core; what is not installed is left out. From
these it makes captions with HTML references and with mojibake. Prints counts per script and per
language and every kind of difference; exit 1 if there is any. Writes no files.
"""
import argparse
import collections
import functools
import gzip
import html
import html.entities
import os
import pathlib
import random
import subprocess
import sys
import unicodedata
import xml.etree.ElementTree

import ftfy
import regex

WORDNET = pathlib.Path("/usr/share/wordnet")
STAMPS = pathlib.Path("/usr/share/tuxpaint/stamps")
ANNOTATIONS = pathlib.Path("/usr/share/unicode/cldr/common/annotations")


class Reference:
    """OpenAI's simple_tokenizer.py by its definition."""

    PATTERN = regex.compile(
        r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|"
        r"[^\s\p{L}\p{N}]+", regex.IGNORECASE)

    def __init__(self, path):
        merges = gzip.open(path, "rt", encoding="utf-8").read().split("\n")[1:49152 - 256 - 2 + 1]
        self.ranks = {tuple(merge.split()): rank for rank, merge in enumerate(merges)}
        plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
        others = [b for b in range(256) if b not in plain]
        self.letters = {b: chr(b) for b in plain} | {b: chr(256 + i) for i, b in enumerate(others)}
        alphabet = [self.letters[b] for b in plain + others]
        words = alphabet + [a + "</w>" for a in alphabet] + ["".join(pair) for pair in self.ranks]
        self.ids = {word: i for i, word in enumerate(words + ["<|startoftext|>", "<|endoftext|>"])}

    @functools.lru_cache(maxsize=None)
    def merged(self, word):
        if word in ("<|startoftext|>", "<|endoftext|>"):
            return (self.ids[word],)
        parts = [self.letters[b] for b in word.encode()]
        parts[-1] += "</w>"
        while len(parts) > 1:
            best = min(zip(parts, parts[1:]), key=lambda pair: self.ranks.get(pair, 1 << 30))
            if best not in self.ranks:
                break
            joined, i = [], 0
            while i < len(parts):
                step = 2 if tuple(parts[i:i + 2]) == best else 1
                joined.append("".join(parts[i:i + step]))
                i += step
            parts = joined
        return tuple(self.ids[part] for part in parts)

    def encode(self, text):
        text = html.unescape(html.unescape(ftfy.fix_text(text))).strip()
        text = regex.sub(r"\s+", " ", text).strip().lower()
        ids = (i for word in self.PATTERN.findall(text) for i in self.merged(word))
        return [49406, *ids, 49407]


def glosses():
    for path in sorted(WORDNET.glob("data.*")):
        for line in path.read_text().splitlines():
            if " | " in line:
                yield "en", line.split(" | ", 1)[1].strip()


def stamps():
    for path in sorted(STAMPS.rglob("*.txt")):
        for i, line in enumerate(path.read_text(errors="replace").splitlines()):
            language, _, text = line.rpartition(".utf8=") if i else ("en", "", line)
            yield language, text


def annotations():
    for path in sorted(ANNOTATIONS.glob("*.xml")):
        for node in xml.etree.ElementTree.parse(path).iter("annotation"):
            if node.get("type") == "tts":
                yield path.stem, f"{node.text} {node.get('cp')}"


def with_references(text, rng):
    """Some characters become references: named, decimal, hexadecimal, open, doubly escaped."""
    def reference(c):
        name = html.entities.codepoint2name.get(ord(c))
        forms = [f"&#{ord(c)};", f"&#x{ord(c):X};", f"&#{ord(c)}", f"&amp;#{ord(c)};"]
        return rng.choice(forms + [f"&{name};", f"&amp;{name};", f"&{name}"] * 2 if name else forms)
    return "".join(reference(c) if rng.random() < (0.05 if c.isascii() else 0.4) else c
                   for c in text)


def as_mojibake(text, rng):
    page = rng.choice(("latin-1", "cp1252", "cp1251", "cp1250", "mac_roman", "cp437"))
    return text.encode().decode(page, "replace")


def collect():
    captions = [(language, text) for source in (glosses, stamps, annotations)
                for language, text in source() if text and "\n" not in text]
    rng = random.Random(1)
    some = rng.sample(captions, min(len(captions), 20000))
    made = [("HTML", with_references(text, rng)) for _, text in some]
    made += [("mojibake", as_mojibake(text, rng).replace("\n", " ")) for _, text in some]
    return captions + made


def script_of(text):
    letters = regex.findall(r"[\p{L}--[\p{Script=Common}ªº]]", text, regex.V1)
    names = collections.Counter(unicodedata.name(c, "NEW").split()[0] for c in letters)
    return names.most_common(1)[0][0] if names else "no letters"


def cause_of(text):
    """Python, regex and utf8proc carry different versions of Unicode."""
    cleaned = html.unescape(ftfy.fix_text(text))
    if any(unicodedata.category(c) == "Cn" and regex.match(r"[\p{L}\p{N}]", c) for c in cleaned):
        return "characters newer than a library's Unicode"
    return "unexplained"


def report(title, counts, wrong):
    print(f"{title}: {len(counts)}")
    for key, count in counts.most_common():
        print(f"  {key:<12} {count:>7} {wrong[key] or '':>6}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--diptych", default="build/diptych")
    parser.add_argument("--vocab", default=os.environ.get("DIPTYCH_VOCAB")
                        or "vocab/bpe_simple_vocab_16e6.txt.gz")
    args = parser.parse_args()
    captions = collect()
    if not captions:
        sys.exit("no captions: apt-get install wordnet-base tuxpaint-stamps-default")
    done = subprocess.run(
        [args.diptych, "tokenize", "--vocab", args.vocab, "--specials", "--max-length", "1000000"],
        input="\n".join(text for _, text in captions).encode(), stdout=subprocess.PIPE, check=True)
    rows = done.stdout.decode().splitlines()
    if len(rows) != len(captions):
        sys.exit(f"{len(captions)} captions gave {len(rows)} lines")

    reference = Reference(args.vocab)
    scripts, languages, wrong, causes = (collections.Counter() for _ in range(4))
    tokens = 0
    for (language, text), row in zip(captions, rows):
        want, script = reference.encode(text), script_of(text)
        scripts[script] += 1
        languages[language] += 1
        tokens += len(want)
        if row != " ".join(map(str, want)):
            cause = cause_of(text)
            wrong.update((script, language))
            causes[cause] += 1
            if causes[cause] <= 5:
                print(f"{cause}: {text!a}\n  want {want}\n  have {row}")
    report("scripts", scripts, wrong)
    report("languages", languages, wrong)
    print(f"{len(captions)} captions, {tokens} tokens, {sum(causes.values())} captions differ")
    for cause, count in causes.items():
        print(f"  {count} {cause}")
    sys.exit(bool(causes))


if __name__ == "__main__":
    main()
