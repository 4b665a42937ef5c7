#!/bin/bash
# tests/cuda/emulated.sh — the tests that concern a device, on the emulated one.
#
#   tests/cuda/emulated.sh RUN_TESTS RUN [ARGUMENTS…]     RUN: see runs.sh
#
# The log goes to RUN_TESTS-RUN.log, what failed to the terminal as well, then one line.
cd "$(dirname "$0")/../.." || exit 2
. tests/cuda/runs.sh
program=$1 run=$2
shift 2
mapfile -t environment < <(environment_of "$run" | tr ' ' '\n')
log=$program-$run.log start=$SECONDS
env "${environment[@]}" "$program" -sf="$(files_of "$run")" "$@" >"$log" 2>&1
status=$?
[ $status -eq 0 ] || grep -vE '^\[doctest\]|MESSAGE' "$log" | head -100
sed -n "s/.*test cases:[^|]*| *\([0-9]*\) passed | *\([0-9]*\) failed.*/emulated, $run:\
 \1 passed, \2 failed, $((SECONDS - start)) s/p" "$log"
exit $status
