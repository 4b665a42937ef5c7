#!/bin/bash
# tests/planted_bugs.sh — plants the errors of planted_bugs.tsv one at a time and requires that
# the tests see each of them.
#
#   tests/planted_bugs.sh OBJDIR LIBRARY SCRATCHDIR ["NAME …"]
#
# OBJDIR holds the objects of the tests (OBJDIR/tests/*.o), LIBRARY the rest; a planted object takes
# the place of its member of the library. CXX, CXXFLAGS, LDLIBS and JOBS as for make. Only
# SCRATCHDIR is written to.
cd "$(dirname "$0")/.." || exit 2
[ $# -ge 3 ] || { sed -n '5p' "$0" >&2; exit 2; }
objects=$1 library=$2 scratch=$3
read -ra wanted <<<"${4:-*}"  # names, or patterns of names
read -ra cxx <<<"${CXX:-g++}"  # perhaps two words: ccache g++
read -ra flags <<<"${CXXFLAGS:--std=c++20 -O1 -march=native}"
read -ra libraries <<<"$LDLIBS"
mapfile -t tests < <(find "$objects/tests" -name '*.o' ! -path '*/bench/*' | sort)

# Prints FILE with OLD, which must be there exactly once, replaced by NEW.
substitute() {
  local text old=$2
  text=$(<"$1")
  [[ $text == *"$old"* && ${text#*"$old"} != *"$old"* ]] || return 1
  printf '%s%s%s\n' "${text%%"$old"*}" "$3" "${text#*"$old"}"
}

# link PROGRAM [OBJECT SOURCE]: OBJECT takes the place of SOURCE's, in the tests or in the library.
link() {
  local others=("${tests[@]}")
  if [ $# -gt 1 ]; then
    mapfile -t others < <(printf '%s\n' "${tests[@]}" | grep -vxF "$objects/${3%.cpp}.o")
  fi
  "${cxx[@]}" "${flags[@]}" "${@:2:1}" "${others[@]}" "$library" "${libraries[@]}" -o "$1"
}

# Writes one line about one error to DIR/verdict; it starts with "caught" if a test failed.
plant() {
  local dir=$1 file=$2 source=$3 old=$4 new=$5 filter=$6 rc
  [ "$source" != - ] || source=$file
  mkdir -p "$dir/$(dirname "$file")" "$dir/$(dirname "$source")"
  if ! substitute "$file" "$old" "$new" >"$dir/$file"; then
    echo "STALE: the text is not in $file exactly once" >"$dir/verdict"
    return
  fi
  local copy=$source
  [ "$source" != "$file" ] || copy=$dir/$file
  if ! "${cxx[@]}" "${flags[@]}" -w -I"$dir" -I. -c "$copy" -o "$dir/planted.o" 2>"$dir/log" ||
    ! link "$dir/run_tests" "$dir/planted.o" "$source" 2>>"$dir/log"; then
    echo "DOES NOT BUILD: $dir/log" >"$dir/verdict"
    return
  fi
  (timeout 300 "$dir/run_tests" -tc="$filter"; exit) >"$dir/log" 2>&1  # "Aborted" goes there too
  rc=$?
  case $rc in
    0) echo "NOT CAUGHT by $filter" ;;
    124) echo "HANGS in $filter" ;;
    *) echo "caught by $(sed -n 's/^TEST CASE:  //p' "$dir/log" | sort -u | wc -l) test cases" ;;
  esac >"$dir/verdict"
  rm -f "$dir/run_tests" "$dir/planted.o"
}

is_wanted() {
  local pattern
  for pattern in "${wanted[@]}"; do
    [[ $1 != $pattern ]] || return 0
  done
  return 1
}

mkdir -p "$scratch" || exit 2
scratch=$(cd "$scratch" && pwd)
mapfile -t rows < <(grep -v '^#' tests/planted_bugs.tsv)
# Without an error the tests must pass, or catching means nothing.
filters=$(printf '%s\n' "${rows[@]}" | cut -f6 | sort -u | paste -sd,)
if ! link "$scratch/sound" || ! "$scratch/sound" -tc="$filters" >"$scratch/log" 2>&1; then
  echo "the tests fail without a planted bug: $scratch/log"
  exit 1
fi

names=()
for row in "${rows[@]}"; do
  IFS=$'\t' read -r name file source old new filter <<<"$row"
  is_wanted "$name" || continue
  names+=("$name")
  while [ "$(jobs -rp | wc -l)" -ge "${JOBS:-$(nproc)}" ]; do wait -n; done
  rm -rf "${scratch:?}/$name"
  plant "$scratch/$name" "$file" "$source" "$old" "$new" "$filter" &
done
wait

caught=0
for name in "${names[@]}"; do
  verdict=$(cat "$scratch/$name/verdict")
  [[ $verdict != caught* ]] || caught=$((caught + 1))
  printf '%-30s %s\n' "$name" "$verdict"
done
echo "$caught of ${#names[@]} planted bugs caught"
[ "$caught" -eq "${#names[@]}" ]
