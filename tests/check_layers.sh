#!/bin/bash
# tests/check_layers.sh — who may include whom: every #include of every source against the floors.
#
#   tests/check_layers.sh                the sources of this tree; one line per violation, exit 1
#   tests/check_layers.sh --self-test    plants one violation of each rule and sees it reported
cd "$(dirname "$0")/.." || exit 2

# Prints "file:line: rule" for each violation below the current directory, then the number of files.
check_tree() {
  find tensor autograd data nn clip cuda examples tests -type f \
    \( -name '*.h' -o -name '*.cuh' -o -name '*.cpp' -o -name '*.cu' \) 2>/dev/null |
    LC_ALL=C sort | awk '
      BEGIN {
        floors["tensor"] = "tensor"
        floors["autograd"] = "autograd tensor"
        floors["data"] = "data tensor"
        floors["nn"] = "nn autograd tensor"
        floors["clip"] = "clip nn autograd data tensor"
        floors["cuda"] = "cuda tensor"
        floors["examples"] = "examples clip nn autograd data tensor"
        floors["tests"] = "tests examples clip nn autograd data cuda tensor"
        third_party = "^(nlohmann/|fmt/|CLI/|doctest/|nettle/|utf8proc|" \
          "(zlib|png|jpeglib|jerror|mpi)\\.h)"
      }
      function report(rule) { printf "%s:%d: %s\n", file, line, rule }
      function exists(path,   dummy, found) {
        found = (getline dummy < path) >= 0
        close(path)
        return found
      }
      function quoted_include(target,   to) {
        if (target !~ /\// || !exists(target)) {
          report("\"" target "\" is no file of this tree; include by path from the root")
          return
        }
        to = substr(target, 1, index(target, "/") - 1)
        if (index(" " floors[floor] " ", " " to " ") == 0)
          report(floor "/ may not include " to "/; it may include " floors[floor])
        if (target ~ /^tensor\/cpu\// && file !~ /^tensor\/cpu\// && floor != "tests")
          report("only tensor/cpu/ and tests may include " target)
        if (target !~ /\.(h|cuh)$/) report("includes " target ", which is no header")
      }
      function angle_include(target,   to) {
        to = substr(target, 1, index(target, "/") - 1)
        if (to in floors) report("write \"" target "\": project files are included with quotes")
        if (target !~ third_party) return
        if (target ~ /^doctest\//) {
          if (floor != "tests") report("only tests/ may include <" target ">")
        } else if (target ~ /^CLI\//) {
          if (file !~ /^clip\/cli\//) report("only clip/cli/ may include <" target ">")
        } else if (file !~ /\.cpp$/) {
          report("<" target "> may be included in a .cpp file only")
        }
      }
      {
        file = $0
        files++
        floor = substr(file, 1, index(file, "/") - 1)
        for (line = 1; (getline text < file) > 0; line++) {
          if (match(text, /^[ \t]*#[ \t]*include[ \t]*["<]/) == 0) continue
          opening = substr(text, RLENGTH, 1)
          target = substr(text, RLENGTH + 1)
          sub(/[">].*/, "", target)
          if (opening == "\"") quoted_include(target); else angle_include(target)
        }
        close(file)
      }
      END { print files + 0 }'
}

# plant FILE TEXT RULE: writes FILE, whose second line is TEXT, and expects the rule to be reported.
plant() {
  mkdir -p "$(dirname "$1")" && printf '// a comment\n%s\n' "$2" >"$1"
  planted=$((planted + 1))
  check_tree | grep -qF "$1:2: $3" || { echo "not reported: $1: $2"; missed=$((missed + 1)); }
  rm "$1"
}

self_test() {
  local root planted=0 missed=0
  root=$(mktemp -d) && trap 'rm -rf "$root"' EXIT && cd "$root" || exit 2
  mkdir -p tensor/cpu autograd data nn clip cuda
  touch tensor/t.h tensor/cpu/c.h tensor/t.cpp autograd/a.h data/d.h nn/n.h clip/c.h cuda/c.h
  [ "$(check_tree)" = 8 ] || { echo "a clean tree is refused"; missed=$((missed + 1)); }
  plant tensor/x.cpp '#include "autograd/a.h"' 'tensor/ may not include autograd/'
  plant autograd/x.h '#include "nn/n.h"' 'autograd/ may not include nn/'
  plant autograd/x.h '#include "data/d.h"' 'autograd/ may not include data/'
  plant data/x.cpp '  #  include "autograd/a.h"' 'data/ may not include autograd/'
  plant nn/x.h '#include "data/d.h"' 'nn/ may not include data/'
  plant nn/x.h '#include "clip/c.h"' 'nn/ may not include clip/'
  plant clip/x.cpp '#include "cuda/c.h"' 'clip/ may not include cuda/'
  plant cuda/x.cu '#include "nn/n.h"' 'cuda/ may not include nn/'
  plant examples/x.cpp '#include "cuda/c.h"' 'examples/ may not include cuda/'
  plant tensor/x.cpp '#include "tensor/cpu/c.h"' 'only tensor/cpu/ and tests may include'
  plant nn/x.cpp '#include "tensor/cpu/c.h"' 'only tensor/cpu/ and tests may include'
  plant tests/x.cpp '#include "tensor/t.cpp"' 'includes tensor/t.cpp, which is no header'
  plant tensor/x.cpp '#include "t.h"' '"t.h" is no file of this tree'
  plant tensor/x.cpp '#include "tensor/missing.h"' '"tensor/missing.h" is no file of this tree'
  plant tensor/x.cpp '#include <tensor/t.h>' 'write "tensor/t.h"'
  plant data/x.h '#include <zlib.h>' '<zlib.h> may be included in a .cpp file only'
  plant clip/x.h '#include <nlohmann/json.hpp>' '<nlohmann/json.hpp> may be included in a .cpp'
  plant cuda/x.cu '#include <nlohmann/json.hpp>' '<nlohmann/json.hpp> may be included in a .cpp'
  plant nn/x.cpp '#include <doctest/doctest.h>' 'only tests/ may include <doctest/doctest.h>'
  plant clip/x.cpp '#include <CLI/CLI.hpp>' 'only clip/cli/ may include <CLI/CLI.hpp>'
  echo "layers: self-test: $planted violations planted, $missed missed"
  [ "$missed" -eq 0 ]
}

if [ "$1" = --self-test ]; then
  self_test
  exit
fi
found=$(check_tree)
files=${found##*$'\n'}
violations=$(grep -c : <<<"$found")
[ "$violations" -eq 0 ] || sed '$d' <<<"$found"
echo "layers: $files files, $violations violations"
[ "$violations" -eq 0 ]
