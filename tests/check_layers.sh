#!/bin/bash
# tests/check_layers.sh — who may include whom: every #include of every source against the floors
# and their rooms; who writes to the streams of the process, and who opens files.
#
#   tests/check_layers.sh                the sources of this tree; one line per violation, exit 1
#   tests/check_layers.sh --self-test    plants one violation of each rule and sees it reported
cd "$(dirname "$0")/.." || exit 2

# Prints "file:line: rule" for each violation below the current directory, then the number of files.
check_tree() {
  find tensor autograd data nn clip cuda examples tests -type f \
    \( -name '*.h' -o -name '*.cuh' -o -name '*.cpp' -o -name '*.cu' \) 2>/dev/null |
    LC_ALL=C sort | awk '
      BEGIN {
        # Each room and the rooms it may include; a file belongs to the innermost room above it.
        may["tensor"] = "tensor"
        may["tensor/cpu"] = "tensor tensor/cpu"
        may["tensor/io"] = "tensor tensor/io"
        may["autograd"] = "autograd tensor"
        may["autograd/ops"] = "autograd autograd/ops tensor"
        may["autograd/op_table"] = "autograd autograd/op_table tensor"
        may["data/image"] = "data/image tensor tensor/io"
        may["data/text"] = "data/text tensor tensor/io"
        may["data"] = "data data/image data/text tensor tensor/io"
        may["nn"] = "nn autograd tensor"
        may["clip"] = "clip nn autograd data data/image data/text tensor"
        may["clip/weights"] = "clip/weights tensor/io " may["clip"]
        may["clip/eval"] = "clip/eval tensor/io " may["clip"]
        may["clip/curves"] = "clip/curves tensor/io " may["clip"]
        may["clip/train"] = "clip/train clip/eval " may["clip/weights"]
        may["clip/cli"] = "clip/cli clip/curves autograd/op_table " may["clip/train"]
        may["cuda"] = "cuda tensor"
        may["cuda/emulator"] = "cuda/emulator tensor"
        may["examples"] = "examples " may["clip/train"]
        for (room in may) everything = everything " " room
        may["tests"] = "tests" everything
        third_party = "^(nlohmann/|fmt/|CLI/|doctest/|nettle/|webp/|utf8proc|" \
          "(zlib|png|jpeglib|jerror|mpi)\\.h)"
      }
      function report(rule) { printf "%s:%d: %s\n", file, line, rule }
      function exists(path,   dummy, found) {
        found = (getline dummy < path) >= 0
        close(path)
        return found
      }
      # The longest folder of a path that is a room.
      function room_of(path,   folder) {
        for (folder = path; sub("/[^/]*$", "", folder);)
          if (folder in may) return folder
        return folder
      }
      function quoted_include(target,   to) {
        if (target !~ /\// || !exists(target)) {
          report("\"" target "\" is no file of this tree; include by path from the root")
          return
        }
        to = room_of(target)
        if (index(" " may[room] " ", " " to " ") == 0)
          report(room "/ may not include " to "/; it may include " may[room])
        if (target !~ /\.(h|cuh)$/) report("includes " target ", which is no header")
      }
      function angle_include(target,   to) {
        to = substr(target, 1, index(target, "/") - 1)
        if (to in may) report("write \"" target "\": project files are included with quotes")
        if (target !~ third_party) return
        if (target ~ /^doctest\//) {
          if (room != "tests") report("only tests/ may include <" target ">")
        } else if (target ~ /^CLI\//) {
          if (room != "clip/cli") report("only clip/cli/ may include <" target ">")
        } else if (file !~ /\.cpp$/) {
          report("<" target "> may be included in a .cpp file only")
        }
      }
      # Only console.cpp knows what to do when a stream is full or closed; the allocator speaks
      # before it aborts.
      function check_streams(text) {
        if (room ~ /^(examples|tests|cuda\/emulator)/) return
        if (file ~ /^(clip\/console|tensor\/allocator)\.cpp$/) return
        if (text ~ /fmt::print|std::(cout|cerr|clog)|(^|[^n])printf\(|(^|[^a-z_])f?put(s|c|char)\(/)
          report("write with print() or tell() of clip/console.h")
      }
      # Files of strangers are opened in one place, which waits for no pipe and reads no device;
      # a run keeps its own records.
      function opens_files(text) {
        if (room ~ /^(tests|examples|cuda\/emulator)$/) return
        if (file ~ /^(tensor\/io\/file|clip\/console)\.cpp$/) return
        if (file ~ /^clip\/train\/(run_log|log_file|run_records|checkpoint)\.cpp$/) return
        if (text ~ /fstream|fopen|freopen|mmap *\(|(^|[^A-Za-z0-9_])::open(at)? *\(/)
          report("only tensor/io/file.cpp opens files: use InputFile, read_file or read_lines")
      }
      {
        file = $0
        files++
        room = room_of(file)
        for (line = 1; (getline text < file) > 0; line++) {
          check_streams(text)
          opens_files(text)
          if (match(text, /^[ \t]*#[ \t]*include[ \t]*["<]/) == 0) continue
          opening = substr(text, RLENGTH, 1)
          target = substr(text, RLENGTH + 1)
          sub(/[">].*/, "", target)
          if (opening == "\"") quoted_include(target); else angle_include(target)
        }
        close(file)
      }
      END { print files + 0 }'
}

# plant FILE TEXT RULE: writes FILE, whose second line is TEXT, and expects the rule to be reported.
plant() {
  mkdir -p "$(dirname "$1")" && printf '// a comment\n%s\n' "$2" >"$1"
  planted=$((planted + 1))
  check_tree | grep -qF "$1:2: $3" || { echo "not reported: $1: $2"; missed=$((missed + 1)); }
  rm "$1"
}

self_test() {
  local root planted=0 missed=0
  root=$(mktemp -d) && trap 'rm -rf "$root"' EXIT && cd "$root" || exit 2
  mkdir -p tensor/{cpu,io} autograd/op_table data/{image,text} nn cuda/emulator
  mkdir -p clip/{weights,eval,curves,train,cli}
  touch tensor/{t.h,cpu/c.h,io/i.h,t.cpp} autograd/{a.h,op_table/t.h} nn/n.h cuda/{c.h,emulator/e.h}
  touch data/{d.h,image/i.h,text/t.h} clip/{c.h,weights/w.h,eval/e.h,train/t.h,cli/c.h}
  [ "$(check_tree)" = 17 ] || { echo "a clean tree is refused"; missed=$((missed + 1)); }
  plant tensor/x.cpp '#include "autograd/a.h"' 'tensor/ may not include autograd/'
  plant autograd/x.h '#include "nn/n.h"' 'autograd/ may not include nn/'
  plant autograd/x.h '#include "data/d.h"' 'autograd/ may not include data/'
  plant data/x.cpp '  #  include "autograd/a.h"' 'data/ may not include autograd/'
  plant nn/x.h '#include "data/d.h"' 'nn/ may not include data/'
  plant nn/x.h '#include "clip/c.h"' 'nn/ may not include clip/'
  plant clip/x.cpp '#include "cuda/c.h"' 'clip/ may not include cuda/'
  plant cuda/x.cu '#include "nn/n.h"' 'cuda/ may not include nn/'
  plant cuda/x.cu '#include "cuda/emulator/e.h"' 'cuda/ may not include cuda/emulator/'
  plant cuda/emulator/x.cpp '#include "cuda/c.h"' 'cuda/emulator/ may not include cuda/'
  plant examples/x.cpp '#include "cuda/c.h"' 'examples/ may not include cuda/'
  plant tensor/x.cpp '#include "tensor/cpu/c.h"' 'tensor/ may not include tensor/cpu/'
  plant nn/x.cpp '#include "tensor/cpu/c.h"' 'nn/ may not include tensor/cpu/'
  plant tensor/x.cpp '#include "tensor/io/i.h"' 'tensor/ may not include tensor/io/'
  plant tensor/cpu/x.cpp '#include "tensor/io/i.h"' 'tensor/cpu/ may not include tensor/io/'
  plant autograd/ops/x.cpp '#include "autograd/op_table/t.h"' 'autograd/ops/ may not include autog'
  plant data/text/x.cpp '#include "data/image/i.h"' 'data/text/ may not include data/image/'
  plant data/image/x.cpp '#include "data/text/t.h"' 'data/image/ may not include data/text/'
  plant data/image/x.cpp '#include "data/d.h"' 'data/image/ may not include data/'
  plant clip/x.cpp '#include "clip/weights/w.h"' 'clip/ may not include clip/weights/'
  plant clip/weights/x.cpp '#include "clip/train/t.h"' 'clip/weights/ may not include clip/train/'
  plant clip/eval/x.cpp '#include "clip/weights/w.h"' 'clip/eval/ may not include clip/weights/'
  plant clip/eval/x.cpp '#include "clip/train/t.h"' 'clip/eval/ may not include clip/train/'
  plant clip/curves/x.cpp '#include "clip/train/t.h"' 'clip/curves/ may not include clip/train/'
  plant clip/train/x.cpp '#include "clip/cli/c.h"' 'clip/train/ may not include clip/cli/'
  plant tests/x.cpp '#include "tensor/t.cpp"' 'includes tensor/t.cpp, which is no header'
  plant tensor/x.cpp '#include "t.h"' '"t.h" is no file of this tree'
  plant tensor/x.cpp '#include "tensor/missing.h"' '"tensor/missing.h" is no file of this tree'
  plant tensor/x.cpp '#include <tensor/t.h>' 'write "tensor/t.h"'
  plant data/x.h '#include <zlib.h>' '<zlib.h> may be included in a .cpp file only'
  plant data/image/x.h '#include <webp/decode.h>' '<webp/decode.h> may be included in a .cpp file'
  plant clip/x.h '#include <nlohmann/json.hpp>' '<nlohmann/json.hpp> may be included in a .cpp'
  plant cuda/x.cu '#include <nlohmann/json.hpp>' '<nlohmann/json.hpp> may be included in a .cpp'
  plant nn/x.cpp '#include <doctest/doctest.h>' 'only tests/ may include <doctest/doctest.h>'
  plant clip/x.cpp '#include <CLI/CLI.hpp>' 'only clip/cli/ may include <CLI/CLI.hpp>'
  plant clip/x.cpp 'fmt::print("x");' 'write with print() or tell()'
  plant clip/cli/x.cpp 'std::cerr << 1;' 'write with print() or tell()'
  plant data/x.cpp 'std::fprintf(stderr, "x");' 'write with print() or tell()'
  plant nn/x.cpp 'std::fputs("x", stdout);' 'write with print() or tell()'
  plant data/x.cpp '  std::ifstream in(path);' 'only tensor/io/file.cpp opens files'
  plant clip/cli/x.cpp '  FILE* in = std::fopen(path, "r");' 'only tensor/io/file.cpp opens files'
  plant tensor/io/x.cpp '  int fd = ::open(path, O_RDONLY);' 'only tensor/io/file.cpp opens files'
  echo "layers: self-test: $planted violations planted, $missed missed"
  [ "$missed" -eq 0 ]
}

if [ "$1" = --self-test ]; then
  self_test
  exit
fi
found=$(check_tree)
files=${found##*$'\n'}
violations=$(grep -c : <<<"$found")
[ "$violations" -eq 0 ] || sed '$d' <<<"$found"
echo "layers: $files files, $violations violations"
[ "$violations" -eq 0 ]
