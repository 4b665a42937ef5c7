#!/usr/bin/env python3
"""Writes data/text/html_entity_table.cpp: HTML5's 2231 named character references, from Python's
html.entities, and which of them ftfy also reads in capitals. Needs nothing but Python.

A row is NAME, then '~' if HTML knows the name without its semicolon too and '=' if not, then the
code points in hexadecimal with '.' between them. '^' says that ftfy reads the name in capitals;
the code points after it, if there are any, are what it reads then.
"""
import html
import html.entities
import pathlib

FILE = pathlib.Path(__file__).parents[2] / "data" / "text" / "html_entity_table.cpp"
HEAD = """\
// data/text/html_entity_table.cpp — HTML5's named character references; made by
// tests/golden/make_entities.py, which explains the rows.
#include "data/text/html_entities.h"

namespace diptych {

std::string_view html_entity_rows() {
  return """
TAIL = """\
}

}  // namespace diptych
"""


def points(text):
    return ".".join(f"{ord(c):X}" for c in text)


def row(name):
    text = html.entities.html5[name + ";"]
    out = name + ("~" if name in html.entities.html5 else "=") + points(text)
    capitals = f"&{name.upper()};"
    if name == name.lower() and html.unescape(capitals) == capitals:
        out += "^" + (points(text.upper()) if text.upper() != text else "")
    return out


def main():
    names = sorted(name[:-1] for name in html.entities.html5 if name.endswith(";"))
    lines = [""]
    for name in names:
        if len(lines[-1]) + len(row(name)) > 86:
            lines.append("")
        lines[-1] += row(name) + " "
    body = "\n         ".join(f'"{line}"' for line in lines)
    FILE.write_text(HEAD + body + ";\n" + TAIL, encoding="utf-8")


if __name__ == "__main__":
    main()
