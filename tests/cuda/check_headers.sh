#!/bin/sh
# tests/cuda/check_headers.sh — what the emulator's headers declare is what the real ones say: every
# constant has the same value, every struct the same size, every function the same type.
set -eu
cd "$(dirname "$0")/../.."
nvcc=$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)
[ -x "$nvcc" ] || { echo "headers: skipped: no CUDA toolkit"; exit 0; }
real=$(dirname "$(readlink -f "$nvcc")")/../include
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
headers=$(cd cuda/emulator/include && ls ./*.h)
all() { for h in $headers; do cat "cuda/emulator/include/$h"; done; }
includes() { for h in $headers; do echo "#include <$h>"; done; }

# Which version the toolkit is may differ; of a device's properties the emulator has a few.
names=$( (all | grep -oE '\b(CU[A-Z]+_|cuda)[A-Za-z0-9_]* = -?[0-9]' | cut -d' ' -f1
          all | grep -oE '^#define cuda[A-Za-z]+ ' | cut -d' ' -f2) | sort)
structs=$(all | grep -oE '^struct [A-Za-z0-9_]+ \{' | cut -d' ' -f2 | grep -v cudaDeviceProp)
{ includes
  echo '#include <iostream>'
  echo '#define PRINT(name, value) std::cout << #name << " = " << (value) << std::endl;'
  echo 'int main() {'
  for n in $names; do echo "  PRINT($n, static_cast<long long>($n))"; done
  for s in $structs; do echo "  PRINT(sizeof($s), sizeof($s))"; done
  echo '}'
} > "$room/print.cpp"
g++ -std=c++20 -w -Icuda/emulator/include -I. "$room/print.cpp" -o "$room/emulated"
g++ -std=c++20 -w -I"$real" "$room/print.cpp" -o "$room/real"
"$room/emulated" > "$room/emulated.txt"
"$room/real" > "$room/real.txt"
diff "$room/real.txt" "$room/emulated.txt" || { echo "headers: the second is wrong"; exit 1; }

# The compiler compares the functions: both declarations in one file.
{ includes
  all | sed -n '/^extern "C" {/,/^}/p' | sed 's/ = \(nullptr\|0\)\([,)]\)/\2/g'
} > "$room/declare.cpp"
g++ -std=c++20 -w -fsyntax-only -I"$real" "$room/declare.cpp"
functions=$(grep -c ');$\|,$' "$room/declare.cpp")
version=$("$nvcc" --version | grep -o 'release [0-9.]*')
values=$(wc -l < "$room/real.txt")
echo "headers: $values constants and sizes, $functions lines of functions as in $version"
