#!/bin/bash
# tests/gpu_day_pack.sh — everything that tests/gpu_day.sh needs, in one folder.
#
#   tests/gpu_day_pack.sh PROGRAMS FOLDER     PROGRAMS: the folder of diptych and run_tests
#
# A machine with a GPU may have no network, no compiler and other libraries than this one. The
# folder holds the programs, the libraries they need, what the tests read, the scripts, and the
# kernels' sources for whoever reads a profile. cuBLASLt and cuDNN, half a gigabyte each, stay
# behind: PyTorch brings the same.
set -euo pipefail
cd "$(dirname "$0")/.."
programs=$1 folder=$2 most_mib=64
rm -rf "$folder"
mkdir -p "$folder/lib"
for program in diptych run_tests; do
  strip -o "$folder/$program" "$programs/$program"
done

# Of the libraries that the loader finds, those of C belong to the machine, as its loader does.
ldd "$folder/diptych" "$folder/run_tests" | awk '$2 == "=>" && $3 ~ /^\// { print $3 }' | sort -u |
  grep -vE '/lib(c|m|dl|rt|pthread|cublas.*|cudnn.*)\.so' | xargs cp -L -t "$folder/lib"

cp --parents tests/golden/{*.safetensors,*.pt,*.json,*.bin} tests/gpu_day.sh tests/cuda/runs.sh \
  tests/bench/{gpu,peers,torch_clip,torch_gemm}.py cuda/*.{cu,cuh,h} "$folder"

# The GNU C library that a machine needs: names of functions carry the version they came with.
glibc=$(objdump -T "$folder"/{diptych,run_tests,lib/*} 2>/dev/null |
  grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -1)
mib=$(du -sm "$folder" | cut -f1)
(cd "$folder" && du -sh -- * | sed 's/^/  /')
echo "$folder: $mib MiB of at most $most_mib; wants glibc ${glibc#GLIBC_} or later; in it:" \
  "tests/gpu_day.sh check|bench|profile OUT"
[ "$mib" -le $most_mib ]
