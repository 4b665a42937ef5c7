# tests/cuda/runs.sh — sourced: the ways in which tests run on the emulator. Each sees errors that the
# others pass over; tests/cuda/planted_bugs.tsv tells which.

# Prints the environment of a run, as NAME=value words.
environment_of() {
  echo DIPTYCH_DEVICES=cuda DIPTYCH_REQUIRE=cuda
  case $1 in
    forward) echo DIPTYCH_EMU_ORDER=forward ;;
    reverse) echo DIPTYCH_EMU_ORDER=reverse ;;
    random) echo DIPTYCH_EMU_ORDER=random:1 DIPTYCH_EMU_RESIDENT=3 ;;
    # Work is done when somebody waits for it, and no sooner; the host cannot see the device's memory.
    lazy) echo DIPTYCH_EMU_STREAMS=lazy DIPTYCH_EMU_PROTECT=1 ;;
    asan) echo DIPTYCH_DTYPES=f32,f64 ;;
    tsan) echo DIPTYCH_MOST_ELEMENTS=4096 DIPTYCH_EMU_RESIDENT=2 ;;
    *) echo "runs: there is no '$1'" >&2; return 1 ;;
  esac
}
