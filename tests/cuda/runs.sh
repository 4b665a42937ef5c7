# tests/cuda/runs.sh — sourced: the tests that concern a device, and the ways in which they run on
# the emulator. Each way sees what the others pass over; tests/cuda/planted_bugs.tsv tells which.

# The sources of those tests, as doctest's -sf wants them.
kernel_files='*test_ops.cpp,*test_op_rules.cpp,*test_kernels*,*test_matmul.cpp,*test_conv.cpp'
kernel_files+=',*tests/cuda/*'
device_files=$kernel_files,'*test_golden.cpp,*test_device_steps.cpp'

# Those of a run: whole models take a slow checker hours, and memory that is closed after every
# launch makes thousands of small products slow.
files_of() {
  case $1 in
    asan) echo "$kernel_files" ;;
    tsan) echo '*test_op*.cpp,*test_detectors.cu,*test_emulator.cu,*test_ladder.cu' ;;
    lazy) echo '*test_op*.cpp,*test_golden.cpp,*test_host_reads.cu,*test_emulator.cu' ;;
    *) echo "$device_files" ;;
  esac
}

# Prints the environment of a run, as NAME=value words.
environment_of() {
  echo DIPTYCH_DEVICES=cuda DIPTYCH_REQUIRE=cuda
  case $1 in
    forward) echo DIPTYCH_EMU_ORDER=forward ;;
    reverse) echo DIPTYCH_EMU_ORDER=reverse ;;
    random) echo DIPTYCH_EMU_ORDER=random:1 DIPTYCH_EMU_RESIDENT=3 ;;
    # Work is done when somebody waits for it, no sooner; the host cannot see the device's memory.
    lazy) echo DIPTYCH_EMU_STREAMS=lazy DIPTYCH_EMU_PROTECT=1 DIPTYCH_DTYPES=f32 ;;
    asan) echo DIPTYCH_DTYPES=f32,f64 ;;
    tsan) echo DIPTYCH_MOST_ELEMENTS=4096 DIPTYCH_EMU_RESIDENT=2 ;;
    *) echo "runs: there is no '$1'" >&2; return 1 ;;
  esac
}
