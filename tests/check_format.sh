#!/bin/bash
# tests/check_format.sh — layout of the sources: clang-format, 100 columns, 500 lines a file.
#
# Errors: a file that clang-format would change (skipped, with a word, where it is not installed), a
# line of more than 100 characters, a file of more than 500 lines. Files of more than 300 lines are
# listed, no more: a smell alarm. Functions of more than 40 lines are a matter for review.
cd "$(dirname "$0")/.." || exit 2
export LC_ALL=C.UTF-8
mapfile -t sources < <(find tensor autograd data nn clip cuda examples tests -type f \
  \( -name '*.h' -o -name '*.cuh' -o -name '*.cpp' -o -name '*.cu' \) 2>/dev/null | sort)
mapfile -t scripts < <(find tests examples -type f \( -name '*.sh' -o -name '*.py' \) 2>/dev/null |
  sort)
bad=0

complain() {
  echo "$1"
  bad=$((bad + 1))
}

if command -v clang-format >/dev/null; then
  while IFS= read -r file; do
    complain "$file: not formatted; run clang-format -i $file"
  done < <(clang-format --dry-run "${sources[@]}" 2>&1 |
    sed -n 's/^\([^:]*\):[0-9]*:[0-9]*: warning: code should be.*/\1/p' | uniq)
else
  echo "clang-format is not installed: formatting is not checked"
fi

for file in "${sources[@]}" "${scripts[@]}"; do
  while IFS= read -r line; do
    complain "$file:$line: more than 100 columns"
  done < <(grep -nE '^.{101,}$' "$file" | cut -d: -f1)
  lines=$(wc -l <"$file")
  if [ "$lines" -gt 500 ]; then
    complain "$file: $lines lines; the limit is 500"
  elif [ "$lines" -gt 300 ]; then
    echo "$file: $lines lines (note)"
  fi
done
echo "format: $((${#sources[@]} + ${#scripts[@]})) files, $bad wrong"
[ "$bad" -eq 0 ]
