#!/bin/bash
# tests/check_must_not_compile.sh — programs that must be refused by the compiler, and why.
#
#   tests/check_must_not_compile.sh [FILE…]      default: tests/must_not_compile/*.cpp;  CXX=g++
#
# The first line of each file is `// error: REGEX`: compiling it must fail with a message that
# matches. With -DFIXED the same file must compile, so that it fails for that reason and no other.
cd "$(dirname "$0")/.." || exit 2
files=("$@")
[ ${#files[@]} -gt 0 ] || files=(tests/must_not_compile/*.cpp)
log=$(mktemp) && trap 'rm -f "$log"' EXIT
bad=0

compile() {
  LC_ALL=C "${CXX:-g++}" -std=c++20 -march=native -fsyntax-only -I. "$@" >"$log" 2>&1
}

complain() {
  bad=$((bad + 1))
  echo "$1: $2"
  sed 's/^/    /' "$log" | head -20
}

for file in "${files[@]}"; do
  regex=$(sed -n '1s|^// error: ||p' "$file")
  if [ -z "$regex" ]; then
    : >"$log" && complain "$file" "the first line must be: // error: REGEX"
  elif compile "$file"; then
    complain "$file" "compiles, but must not"
  elif ! grep 'error:' "$log" | grep -qE -- "$regex"; then
    complain "$file" "fails for another reason than /$regex/"
  elif ! compile -DFIXED "$file"; then
    complain "$file" "must compile with -DFIXED, but does not"
  fi
done
echo "must not compile: ${#files[@]} programs, $bad wrong"
[ "$bad" -eq 0 ]
