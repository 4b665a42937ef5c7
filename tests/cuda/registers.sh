#!/bin/bash
# tests/cuda/registers.sh — what ptxas said of every kernel: a table, and an error if one spills.
#
#   tests/cuda/registers.sh OBJDIR     the *.o.log files that `make cuda` leaves beside its objects
#
# A kernel that is a template stands for all its instances: the most registers and shared memory any
# of them needs, on any architecture. Spilled registers are read back from memory a hundred times
# slower, and no test would show it.
find "$1" -name '*.o.log' | LC_ALL=C sort | xargs cat | c++filt | awk '
  /^seconds/ { tenths += $2 }
  /Compiling entry function/ {
    kernel = $0
    sub(/.*Compiling entry function \x27/, "", kernel)
    architecture = kernel
    sub(/.*\x27 for \x27/, "", architecture); sub(/\x27.*/, "", architecture)
    sub(/\x27 for \x27.*/, "", kernel)
    sub(/^void /, "", kernel); gsub(/\(anonymous namespace\)::/, "", kernel)
    gsub(/diptych::cuda::/, "", kernel); sub(/[<(].*/, "", kernel)
    architectures[architecture]; instances[kernel]++
  }
  /bytes spill stores/ && kernel != "" {
    split($0, part, /,/)
    if (part[2] + part[3] > 0) { spilled++; print "spills on " architecture ": " kernel ":" $0 }
  }
  / Used [0-9]+ registers/ {
    match($0, /Used [0-9]+/); n = substr($0, RSTART + 5, RLENGTH - 5) + 0
    if (n > registers[kernel]) registers[kernel] = n
    if (match($0, /[0-9]+ bytes smem/) && $0 ~ /smem/) {
      n = substr($0, RSTART, RLENGTH) + 0
      if (n > shared[kernel]) shared[kernel] = n
    }
  }
  END {
    for (a in architectures) count++
    printf "%-36s %9s %9s %13s\n", "kernel", "instances", "registers", "shared bytes"
    sort = "LC_ALL=C sort"
    for (k in instances)
      printf "%-36s %9d %9d %13d\n", k, instances[k] / count, registers[k], shared[k] | sort
    close(sort)
    printf "%d kernels, %d architectures, %d spill; nvcc took %.0f s\n", length(instances), count, \
      spilled, tenths / 10
    exit spilled > 0 || length(instances) == 0
  }'
