#!/bin/bash
# tests/check_links.sh — names of files that are written down: each must lead somewhere.
#
#   tests/check_links.sh                the files of this tree; one line per violation, exit 1
#   tests/check_links.sh --self-test    plants one violation of each rule and sees it reported
#
# Sources, scripts and READMEs: a path with a folder and the ending of a source names a file, from
# the root or from where it is written. READMEs: what stands in `backticks` and looks like a file
# or folder is one, and so is the target of a link. Sources and scripts: the head names its file.
cd "$(dirname "$0")/.." || exit 2
export LC_ALL=C.UTF-8
folders='tensor autograd data nn clip cuda examples tests'
ending='(h|cuh|cpp|cu|md|sh|py|tsv|svg)'

# Prints "file:line: what", after "file:line:path" on stdin for each path that leads nowhere.
missing() {
  while IFS=: read -r file line path; do
    case $path in
      *'<'* | *'*'* | logs/* | build/* | vocab/*) continue ;;      # patterns; made by running
      cuda/* | clip/model.py | clip/clip.py | http*) continue ;;  # to come; openai/CLIP's
    esac
    found=${path%%#*}
    [ -e "$found" ] || found=$(dirname "$file")/$found
    [ -e "$found" ] || echo "$file:$line: no file $path"
    [[ $path != *'#'* ]] || has_heading "$found" "${path#*#}" ||
      echo "$file:$line: no heading $path"
  done
}

# has_heading FILE ANCHOR: as GitHub makes anchors, in lower case with a dash for each space.
has_heading() {
  grep -E '^#+ ' "$1" 2>/dev/null | sed -E 's/^#+ //; s/[^A-Za-z0-9 _-]//g; s/ /-/g' |
    tr '[:upper:]' '[:lower:]' | grep -qxF "$2"
}

# `file`, `folder/`, [text](file) of a README.
in_readmes() {
  find . -name '*.md' ! -path './build/*' ! -path './.git/*' -printf '%P\n' | sort |
    while read -r file; do
    grep -noE "\`[A-Za-z0-9_./<>*-]+(\.$ending|/)\`|\]\([^):]+\)" "$file" |
      sed -E "s/^([0-9]+):(\`|\]\()(.*)(\`|\))\$/\1:\3/; s|^|$file:|"
  done
}

# folder/file.ending anywhere.
in_sources() {
  find Makefile README.md HACKING.md $folders -regextype posix-extended -type f \
    -regex ".*(\.$ending|Makefile)" ! -path tests/check_layers.sh ! -path tests/check_links.sh \
    2>/dev/null | sort | while read -r file; do
    grep -noE "(^|[ \`\"(])(${folders// /|}|docs)(/[A-Za-z0-9_]+)+\.$ending\b" "$file" |
      sed -E "s/^([0-9]+):[ \`\"(]?/\1:/; s|^|$file:|"
  done
}

heads() {
  find $folders -regextype posix-extended -type f -regex '.*\.(h|cuh|cpp|cu|sh)' \
    ! -path 'tests/must_not_compile/*' 2>/dev/null | sort | while read -r file; do
    head -2 "$file" | grep -qE "^(//|#) $file — " || echo "$file:1: its head does not name it"
  done
}

check_tree() {
  { in_readmes; in_sources; } | missing | sort -u
  heads
}

# plant FILE TEXT RULE: writes FILE and expects the rule to be reported for it.
plant() {
  mkdir -p "$(dirname "$1")" && printf '%s\n' "$2" >"$1"
  planted=$((planted + 1))
  check_tree | grep -qF "$1:$3" || { echo "not reported: $1: $2"; missed=$((missed + 1)); }
  rm "$1"
}

self_test() {
  local root planted=0 missed=0
  root=$(mktemp -d) && trap 'rm -rf "$root"' EXIT && cd "$root" || exit 2
  mkdir -p tensor/cpu
  echo '// tensor/t.h — see tensor/cpu/c.cpp and <family>.cpp' >tensor/t.h
  echo '// tensor/cpu/c.cpp — there' >tensor/cpu/c.cpp
  echo 'See `t.h`, `cpu/`, `tensor/t.h`, `cpu/<family>.cpp`, `x.y()`, [c](cpu/c.cpp).' \
    >tensor/README.md
  [ -z "$(check_tree)" ] || { echo "a clean tree is refused"; missed=$((missed + 1)); }
  plant tensor/cpu/README.md 'See `c.h`.' '1: no file c.h'
  plant tensor/cpu/README.md 'See `io/`.' '1: no file io/'
  plant tensor/cpu/README.md '[a lesson](gone.md)' '1: no file gone.md'
  plant README.md '[a part](tensor/README.md#gone)' '1: no heading tensor/README.md#gone'
  plant README.md '`tensor/t.h` → `t.h`' '1: no file t.h'
  plant tensor/x.h $'// tensor/x.h — x\n// as in tensor/gone.h' '2: no file tensor/gone.h'
  plant tensor/x.h '// tensor/y.h — moved' '1: its head does not name it'
  echo "links: self-test: $planted violations planted, $missed missed"
  [ "$missed" -eq 0 ]
}

if [ "$1" = --self-test ]; then
  self_test
  exit
fi
found=$(check_tree)
violations=$(grep -c : <<<"$found")
[ "$violations" -eq 0 ] || echo "$found"
echo "links: $({ in_readmes; in_sources; } | wc -l) names of files, $violations wrong"
[ "$violations" -eq 0 ]
