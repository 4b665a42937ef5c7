#!/bin/bash
# tests/in_shards.sh — a test program in pieces, several at a time: many tests keep one core busy,
# or wait for a disk.
#
#   tests/in_shards.sh PROGRAM JOBS [LEFT_OUT]     LEFT_OUT: doctest's filter
#
# The log of each piece goes to PROGRAM.shards/N.log.
#
# Prints the logs of pieces that failed, then "N passed, N failed".
program=$1 jobs=$2 left_out=${3:-}
logs=$program.shards
rm -rf "$logs" && mkdir -p "$logs" || exit 2
cases=$("$program" -c -tce="$left_out" | sed -n 's/.*passing the current filters: *//p')
[ -n "$cases" ] || { echo "$program: no test cases"; exit 1; }
size=$(((cases + 8 * jobs - 1) / (8 * jobs)))
# A piece that dies leaves no count: its cases have failed.
piece() {
  local first=$1 last=$(($1 + size - 1)) log=$logs/$1.log
  [ $last -le "$cases" ] || last=$cases
  "$program" -tce="$left_out" -f="$first" -l="$last" >"$log" 2>&1
  echo "status $? of $((last - first + 1)) cases" >>"$log"
}
export -f piece
export program logs cases size left_out
seq 1 "$size" "$cases" | xargs -P "$jobs" -I{} bash -c 'piece {}'
bad=$(grep -L '^status 0 ' "$logs"/*.log)
[ -z "$bad" ] || cat $bad
# doctest takes the cases of other pieces for passed.
awk -v cases="$cases" '
  /test cases:/ && match($0, /[0-9]+ failed/) { failed += substr($0, RSTART); counted = 1 }
  /^status/ { if (!counted) failed += $4; counted = 0 }
  END { print cases - failed " passed, " failed + 0 " failed" }' "$logs"/*.log
[ -z "$bad" ]
