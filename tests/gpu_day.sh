#!/bin/bash
# tests/gpu_day.sh — one part of a day on a GPU, in at most nine minutes.
#
#   tests/gpu_day.sh check|bench|profile OUT
#
#   check     op table, kernels, golden files, ten training steps, derivatives; NVIDIA's checkers
#   bench     products, our kernels, training steps beside PyTorch's (tests/bench/gpu.py)
#   profile   every launch of six training steps, and the slowest kernels closely
#
# Runs in the folder of `make gpu-day-pack`, or in a checkout after `make cuda`; PROGRAMS names
# another folder of diptych and run_tests, PYTHON the interpreter that has PyTorch. What fails or
# takes too long is noted, and the next step begins. OUT gets PART.log (all that was printed), the
# numbers as bench.json or profile.csv, and summary.md, whose last section is printed at the end.
cd "$(dirname "$0")/.." || exit 2
. tests/cuda/runs.sh
part=$1 out=$2 python=${PYTHON:-python3}
case $part in
  check | bench | profile) ;;
  *) sed -n '2,14s/^# \{0,1\}//p' tests/gpu_day.sh >&2; exit 2 ;;
esac
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 2
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
log=$out/$part.log table=$work/table end=$((SECONDS + ${SECONDS_OF_PART:-530}))
programs=build/cuda
[ -x ./diptych ] && programs=.
programs=$(realpath "${PROGRAMS:-$programs}")
[ -x "$programs/diptych" ] || {
  echo "gpu_day: no diptych in $programs: make cuda, or PROGRAMS=folder" >&2
  exit 2
}
: >"$log"
: >"$table"

# -- libraries and card: the first line, and the end if a library is missing -----------------------
# cuBLASLt and cuDNN come with PyTorch, as packages of pip; diptych finds what else it needs.
packages=$("$python" -c 'import glob, sys
print(":".join(f for path in sys.path for f in sorted(glob.glob(path + "/nvidia/*/lib"))))')
export LD_LIBRARY_PATH=$packages${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}

versions() {
  if ldd "$programs/diptych" 2>&1 | grep -E 'not found|No such|not a dynamic'; then return 1; fi
  ldd "$programs/diptych" | awk '/libcublasLt|libcudnn/ { print $3 }' | "$python" -c '
import ctypes, sys

for path in sys.stdin.read().split():
    name, call = (("cuBLASLt", "cublasLtGetVersion") if "cublasLt" in path else
                  ("cuDNN", "cudnnGetVersion"))
    version = getattr(ctypes.CDLL(path), call)
    version.restype = ctypes.c_size_t
    n = version()  # 91900 is 9.19.0
    print(f"{name} {n // 10000}.{n // 100 % 100}.{n % 100} of {path}")'
}

libraries=$(versions 2>&1) || {
  echo "gpu_day: libraries do not load: $libraries" | tee -a "$log"
  exit 1
}
libraries=${libraries:-no library of NVIDIA\'s}
card=$(nvidia-smi --format=csv,noheader 2>/dev/null \
  --query-gpu=name,driver_version,memory.total,clocks.sm,clocks.max.sm,power.limit | head -1)
libraries=${libraries//$'\n'/, } card=${card:-no nvidia-smi}
echo "$libraries; $card" | tee -a "$log"

# -- steps -----------------------------------------------------------------------------------------
row() { printf '%-24s %-16s %4s s  %s\n' "$@" | cut -c1-140 | tee -a "$table"; }

tool() { command -v "$1" || echo "/usr/local/cuda/bin/$1"; }

# What ncu says that bounds a kernel.
bounds() {
  awk '/DRAM Throughput|Compute \(SM\) Throughput|Achieved Occupancy|Registers Per Thread/ {
      value = $NF
      sub(/ +[^ ]+ +[0-9.,]+ *$/, ""); sub(/^ +/, ""); sub(/ +$/, "")
      gsub(/ Throughput| Per Thread|Achieved |Compute |[()]/, "")
      line = line ", " $0 " " value
    }
    END { if (line) print substr(line, 3) }' "$1"
}

# What a program says of itself: doctest's counts, a checker's sum, bounds, else its last line.
verdict() {
  sed -nE 's/.*test cases:[^|]*\| *([0-9]+) passed \| *([0-9]+) failed.*/\1 passed, \2 failed/p
    s/.*assertions: *([0-9]+) .*/of \1 assertions/p; s/^=+ ([A-Z ]*SUMMARY: .*)/\1/p
    s/^([0-9]+ checked, .*)/\1/p' "$1" | paste -sd' ' | grep . || bounds "$1" | grep . ||
    grep -v '^$' "$1" | tail -1
}

# step NAME LIMIT COMMAND…: at most LIMIT seconds, and no more than the part has left.
step() {
  local name=$1 limit=$2 start=$SECONDS status result
  shift 2
  [ $((end - SECONDS)) -ge "$limit" ] || limit=$((end - SECONDS))
  if [ "$limit" -lt 5 ]; then
    row "$name" "no time left" 0 ""
    return
  fi
  echo "== $name: $*" >>"$log"
  timeout -k 5 "$limit" "$@" >"$work/output" 2>&1
  status=$?
  cat "$work/output" >>"$log"
  case $status in
    0) result=passes ;;
    124 | 137) result=stopped ;;
    *) result="FAILS ($status)" ;;
  esac
  # A filter that fits nothing passes, and a checker that is stopped may have found something.
  grep -qE 'test cases: *0 ' "$work/output" && result="FAILS (no test)"
  [ "$result" = stopped ] && grep -q '^========= .*\(Invalid\|Error\|Barrier\|Uninit\)' \
    "$work/output" && result="FAILS (stopped)"
  row "$name" "$result" $((SECONDS - start)) "$(verdict "$work/output")"
}

check() {
  export DIPTYCH_DEVICES=cuda DIPTYCH_REQUIRE=cuda
  local - pattern checker limit
  set -f
  for pattern in ${device_files//,/ }; do
    case $pattern in
      *tests/cuda*) continue ;;  # of the emulator
      *test_op*) limit=120 ;;
      *) limit=60 ;;
    esac
    step "${pattern//\*/}" $limit "$programs/run_tests" -sf="$pattern"
  done
  step gradcheck 60 "$programs/diptych" gradcheck --device cuda
  # Small rows, since they take a hundred times as long; our kernels, since what they say of
  # NVIDIA's nobody here can act on.
  export DIPTYCH_UNCACHED=cuda DIPTYCH_DTYPES=f32 DIPTYCH_MOST_ELEMENTS=4096
  for checker in memcheck racecheck synccheck initcheck; do
    step $checker 60 "$(tool compute-sanitizer)" --tool $checker --kernel-name kns=diptych \
      --error-exitcode 9 "$programs/run_tests" -tc='op table: every dtype*'
  done
}

bench() {
  timeout -k 5 $((end - SECONDS + 5)) "$python" tests/bench/gpu.py --diptych "$programs/diptych" \
    --torch "$python" --limit $((end - SECONDS)) --json "$out/bench.json" >"$table" 2>>"$log"
}

# -- profile: ncu, which runs kernels one by one and is told to leave the clocks alone -------------
training=("$programs/diptych" bench train --device cuda --steps 1
  --model "${MODEL:-ViT-B-32}" --batch-size "${BATCH_SIZE:-512}")

# ncu's CSV → kernel, launches, milliseconds, share of the whole; the slowest first.
kernels() {
  awk -F'","' '
    /^"ID"/ {
      for (i = 1; i <= NF; i++) {
        if ($i == "Kernel Name") name = i
        if ($i ~ /^Metric Value/) value = i
      }
      next
    }
    name && NF >= value {
      gsub(/[",]/, "", $value)
      launches[$name]++; ns[$name] += $value; all += $value
    }
    END {
      for (k in ns)
        printf "%-48s %6d %9.2f ms %5.1f %%\n", k, launches[k], ns[k] / 1e6, 100 * ns[k] / all
    }' "$1" | sort -t' ' -k1,1 | sort -s -k3,3gr
}

profile() {
  local ncu kernel
  ncu=$(tool ncu)
  step "every launch" 240 "$ncu" --clock-control none --csv --print-units base \
    --print-kernel-base function --metrics gpu__time_duration.sum --log-file "$out/profile.csv" \
    "${training[@]}"
  [ -s "$out/profile.csv" ] && kernels "$out/profile.csv" >"$work/kernels" || return
  head -16 "$work/kernels" | tee -a "$table"
  # The third launch: before it, caches and clocks are cold.
  for kernel in $(head -6 "$work/kernels" | awk '{ print $1 }'); do
    step "${kernel:0:24}" 60 "$ncu" --clock-control none --set full -k "regex:^$kernel\$" \
      -s 2 -c 1 "${training[@]}"
  done
}

"$part"
{
  echo "## $part, $(date -u +%F)"
  echo "tests/gpu_day.sh $part, $SECONDS s; $card; $libraries"
  printf '```\n'
  head -36 "$table"
  printf '```\n'
} >"$work/summary"
cat "$work/summary" >>"$out/summary.md"
cat "$work/summary"
! grep -q FAILS "$table"
