#!/bin/bash
# tests/planted_bugs.sh — plants the errors of planted_bugs.tsv one at a time and requires that
# the tests see each of them.
#
#   tests/planted_bugs.sh OBJDIR LIBRARY SCRATCHDIR ["NAME …"]
#
# OBJDIR holds the objects of the tests (OBJDIR/tests/*.o), LIBRARY the rest; a planted object takes
# the place of its member of the library. CXX, CXXFLAGS, LDLIBS and JOBS as for make. Only
# SCRATCHDIR is written to. With RUNS="forward reverse" it plants the errors of those runs of the
# emulator (cuda/runs.sh) out of cuda/planted_bugs.tsv, with more tests in DEVICEDIR/tests/*.o.
cd "$(dirname "$0")/.." || exit 2
[ $# -ge 3 ] || { sed -n '5p' "$0" >&2; exit 2; }
objects=$1 library=$2 scratch=$3
read -ra wanted <<<"${4:-*}"  # names, or patterns of names
read -ra cxx <<<"${CXX:-g++}"  # perhaps two words: ccache g++
read -ra flags <<<"${CXXFLAGS:--std=c++20 -O1 -march=native}"
read -ra libraries <<<"$LDLIBS"
bugs=tests/planted_bugs.tsv
if [ -z "$RUNS" ]; then
  mapfile -t tests < <(find "$objects/tests" -name '*.o' ! -path '*/bench/*' | sort)
else
  . tests/cuda/runs.sh
  bugs=tests/cuda/planted_bugs.tsv
  flags+=(-Icuda/emulator/include)
  tests=("$objects"/tests/{main,test_op*s,test_kernels*,test_matmul,test_conv,test_golden}.o
    "$DEVICEDIR"/tests/cuda/*.o)
fi

# Prints FILE with OLD, which must be there exactly once, replaced by NEW.
substitute() {
  local text old=${2//⏎/$'\n'} new=${3//⏎/$'\n'}
  text=$(<"$1")
  [[ $text == *"$old"* && ${text#*"$old"} != *"$old"* ]] || return 1
  printf '%s%s%s\n' "${text%%"$old"*}" "$new" "${text#*"$old"}"
}

# link PROGRAM [OBJECT SOURCE]: OBJECT takes the place of SOURCE's, in the tests or in the library.
link() {
  local others=("${tests[@]}")
  if [ $# -gt 1 ]; then
    mapfile -t others < <(printf '%s\n' "${tests[@]}" | grep -vxF "$objects/${3%.cpp}.o")
  fi
  "${cxx[@]}" "${flags[@]}" "${@:2:1}" "${others[@]}" "$library" "${libraries[@]}" -o "$1"
}

# What a checker said, if it was one that noticed.
first_report() {
  grep -m 1 -oE 'emulator: .*|(Address|Thread)Sanitizer: [a-z -]+|runtime error: .*' "$1" |
    cut -c1-70
}

# Writes one line about one error to DIR/verdict; it starts with "caught" if a test failed.
plant() {
  local dir=$1 file=$2 source=$3 old=$4 new=$5 filter=$6 run=$7 rc
  [ "$source" != - ] || source=$file
  mkdir -p "$dir/$(dirname "$file")" "$dir/$(dirname "$source")"
  if ! substitute "$file" "$old" "$new" >"$dir/$file"; then
    echo "STALE: the text is not in $file exactly once" >"$dir/verdict"
    return
  fi
  local copy=$source
  [ "$source" != "$file" ] || copy=$dir/$file
  if ! "${cxx[@]}" "${flags[@]}" -w -I"$dir" -I. -x c++ -c "$copy" -o "$dir/planted.o" \
    2>"$dir/log" || ! link "$dir/run_tests" "$dir/planted.o" "$source" 2>>"$dir/log"; then
    echo "DOES NOT BUILD: $dir/log" >"$dir/verdict"
    return
  fi
  (
    [ -z "$run" ] || export $(environment_of "$run")
    timeout 300 "$dir/run_tests" -tc="$filter"
    exit
  ) >"$dir/log" 2>&1  # "Aborted" goes there too
  rc=$?
  case $rc in
    0) echo "NOT CAUGHT by $filter${run:+, $run}" ;;
    124) echo "HANGS in $filter" ;;
    *) echo "caught by $(sed -n 's/^TEST CASE:  //p' "$dir/log" | sort -u | wc -l) test cases" \
      "${run:+in $run: $(first_report "$dir/log")}" ;;
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
mapfile -t rows < <(grep -v '^#' "$bugs" |
  awk -F '\t' -v runs=" $RUNS " '$7 == "" || index(runs, " " $7 " ")')
# Without an error the tests must pass, or catching means nothing.
filters=$(printf '%s\n' "${rows[@]}" | cut -f6 | sort -u | paste -sd,)
sound() {
  local log=$scratch/sound${1:+-$1}
  (
    [ -z "$1" ] || export $(environment_of "$1")
    "$scratch/sound.tests" -tc="$filters" >"$log.log" 2>&1
  ) || echo "the tests fail without a planted bug: $log.log" >"$log.verdict"
}
in_turn() { while [ "$(jobs -rp | wc -l)" -ge "${JOBS:-$(nproc)}" ]; do wait -n; done; }
rm -f "$scratch"/sound*
link "$scratch/sound.tests" || exit 1
for run in ${RUNS:-""}; do
  in_turn
  sound "$run" &
done

# With SHARE=n every n-th error, beginning with another one at every commit: n commits plant all.
share=${SHARE:-1} first=$(git rev-list --count HEAD 2>/dev/null || echo 0)
names=() stale=() number=0
for row in "${rows[@]}"; do
  IFS=$'\t' read -r name file source old new filter run <<<"$row"
  is_wanted "$name" || continue
  if [ $((number++ % share)) -ne $((first % share)) ]; then
    substitute "$file" "$old" "$new" >/dev/null ||
      stale+=("$name: the text is not in $file exactly once")
    continue
  fi
  names+=("$name")
  in_turn
  rm -rf "${scratch:?}/$name"
  plant "$scratch/$name" "$file" "$source" "$old" "$new" "$filter" "$run" &
done
wait

missed=("${stale[@]}")
for name in "${names[@]}"; do
  verdict=$(cat "$scratch/$name/verdict")
  [[ $verdict == caught* ]] || missed+=("$name: $verdict")
  printf '%-30s %s\n' "$name" "$verdict"
done
for verdict in "$scratch"/sound*.verdict; do
  [ ! -e "$verdict" ] || { cat "$verdict" && exit 1; }
done
# Once more, last: of a long log people see the end.
[ ${#missed[@]} -eq 0 ] || printf '%s\n' "${missed[@]}"
[ "$share" = 1 ] || echo "planted: one in $share of $number; make planted plants all"
echo "$((${#names[@]} + ${#stale[@]} - ${#missed[@]})) of ${#names[@]} planted bugs caught"
[ ${#missed[@]} -eq 0 ]
