# make demo [FILE=path]   build, then run the demonstration (examples/wordcount)
# make test               every check there is
# `make help` lists the parts. Needs cargo, a C and a C++ compiler, make and Python >= 3.9; all else is fetched.

PYTHON ?= python3
VENV ?= .venv
CARGO ?= cargo
MINUTES ?= 10
ROUNDS ?= 50
ifeq ($(origin CXX),default)
CXX := c++
endif

TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
VENV_BIN := $(abspath $(VENV))/bin
VENV_READY := $(VENV)/.ready
FEATURES := --features capi
PYTHON_DIRS := .ci python examples tests benches
# Those of their own, beside the library's.
CRATES := tests/soak benches/peers benches/count fuzz

# What the tests, the examples and the processes that they start are told.
export CARGO CC CXX TARGET VENV_BIN
export SHARECELL_LIBRARY := $(TARGET)/release/libsharecell.so
export SHARECELL_PYTHON := $(VENV_BIN)/python
export PYTHONPATH := $(CURDIR)/python

.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help tools build venv demo test fmt lint test-rust steps test-c test-python test-cpython test-examples \
	test-soak test-wheel doc bench bench-doc lint-bench kills profile count soak linear many bench-python model header golden format wheel \
	sanitize sanitize-short fuzz tsan traps clean

help:
	@echo 'make demo [FILE=path]  build, then run the demonstration'
	@echo 'make test              every check below, and the demonstration'
	@echo '  fmt                  is everything formatted? (`make format` formats)'
	@echo '  lint                 clippy, ruff, mypy, pyright, shellcheck'
	@echo '  test-rust            unit, integration and documentation tests'
	@echo '  steps [LONG=1|all]   every operation is killed at every step: at some, at most, at all of them'
	@echo '  test-c               tests/c and tests/cpp'
	@echo '  test-python          python/tests, with the compiled companion and without'
	@echo '  test-cpython         CPython'"'"'s own tests of multiprocessing against ours (LONG=1: all of them)'
	@echo '  test-examples        each example runs to its end'
	@echo '  test-soak            the soak for half a minute'
	@echo '  test-wheel           the wheel and the clone can be installed, and work where nothing else is'
	@echo '  model [LONG=1]       loom models of the protocols; also `make model MODEL="a lock"`'
	@echo '  sanitize-short       misuse of the C ABI under sanitizers and valgrind; `make sanitize` takes longer'
	@echo '  count                the instructions of the fast paths are those committed (`make count BLESS=1` commits)'
	@echo '  doc                  the Rust documentation, without a warning'
	@echo 'The long ones:'
	@echo '  soak MINUTES=10      kills processes at random and accounts for every item (SEED=n, SOAK_REPORT=file)'
	@echo '  linear ROUNDS=50     records histories of real processes and looks for an order that explains them'
	@echo '  many COUNT=10000000  creates and removes so many objects in processes that are killed; nothing may leak'
	@echo '  fuzz [SECONDS=60]    damages segments and uses them, guided by coverage'
	@echo '  traps [TRAP=T13]     takes the defences against known traps away one by one; a test must fail each time'
	@echo '  tsan                 the unit tests under ThreadSanitizer'
	@echo '  bench [ONLY=name] [REPEATS=5] [MS=100]  measures sharecell beside its peers, in some eight minutes, with QUICK=1'
	@echo '                       in three; results in target/bench'
	@echo '  kills [N=100] [ONLY=name]    kills users of sharecell and of its peers, and says who hangs'
	@echo '  profile [MS=1000]    where the time goes, by perf, of each measure of `make bench` that does not meet its aim'
	@echo '  profile ONLY=name PEER=name    of that one alone; target/bench/profile.txt'
	@echo '  bench-doc            writes docs/performance.md, its pictures and a part of docs/reliability.md from all these results'
	@echo '  bench-python         times python/sharecell beside multiprocessing and faster-fifo (JSON=file, QUICK=1)'
	@echo 'make build             the library with its C ABI and the Rust examples'
	@echo 'make header            writes include/sharecell.h again from src/capi'
	@echo 'make golden            writes the golden segment of this layout version (tests/golden) anew'
	@echo 'make wheel             python/dist/sharecell-*.whl'
	@echo 'make clean             removes target and .venv'

tools:
	@.ci/tools.sh

# Examples are built along, always: cargo keeps one libsharecell.so, and builds it anew when what is asked for differs.
build: tools
	$(CARGO) build --release $(FEATURES) --lib --examples
	@.ci/soname.sh
	@'$(PYTHON)' python/build_companion.py '$(TARGET)/release'

venv: $(VENV_READY)
$(VENV_READY): python/requirements-dev.txt .ci/venv.sh
	.ci/venv.sh '$(PYTHON)' '$(VENV)' $<
	@touch $@

demo: build venv
	@.ci/demo.sh '$(FILE)'

test:
	@MAKE='$(MAKE)' .ci/test.sh

fmt: venv
	$(CARGO) fmt --check
	for crate in $(CRATES); do $(CARGO) fmt --manifest-path $$crate/Cargo.toml --check || exit; done
	.ci/clang-format.sh --dry-run --Werror
	'$(VENV_BIN)/ruff' format --check $(PYTHON_DIRS)

format: venv
	$(CARGO) fmt
	for crate in $(CRATES); do $(CARGO) fmt --manifest-path $$crate/Cargo.toml || exit; done
	.ci/clang-format.sh -i
	'$(VENV_BIN)/ruff' format $(PYTHON_DIRS)
	'$(VENV_BIN)/ruff' check --fix $(PYTHON_DIRS)

lint: venv
	$(CARGO) clippy --all-targets -- -D warnings
	$(CARGO) clippy --all-targets $(FEATURES) -- -D warnings
	$(CARGO) clippy --all-targets --all-features -- -D warnings
	$(CARGO) clippy --release --manifest-path tests/soak/Cargo.toml --target-dir '$(TARGET)/soak' -- -D warnings
	$(CARGO) clippy --all-targets --manifest-path benches/count/Cargo.toml --target-dir '$(TARGET)/count' -- -D warnings
	$(CARGO) clippy --test steps --test defences -- -D warnings
	$(CARGO) clippy --test steps --features steps -- -D warnings
	'$(VENV_BIN)/ruff' check $(PYTHON_DIRS)
	cd python && '$(VENV_BIN)/mypy' sharecell tests/typing
	cd python && '$(VENV_BIN)/pyright' --pythonpath '$(VENV_BIN)/python' sharecell/multiprocessing tests/typing
	'$(VENV_BIN)/shellcheck' .ci/run .ci/*.sh tests/*.sh

# The profile is dev, for its overflow checks and debug assertions; the processes that the tests start load the release build.
test-rust: build venv
	$(CARGO) test --no-fail-fast $(FEATURES)
	$(CARGO) test $(FEATURES),shared_memory,async --test given --test tokio

# By accesses to memory, with overflow checks and debug assertions, and optimized a little, for it runs often; then by
# instructions and system calls, of the code as it is released.
STEPS := --config profile.dev.package.sharecell.opt-level=1 $(FEATURES),steps
steps: build
	$(CARGO) test $(STEPS) --test steps
	$(CARGO) test --release $(FEATURES) --test steps
	$(CARGO) test $(STEPS) --test world many_race
	$(CARGO) test $(STEPS) --test many opening -- --nocapture

# In a target directory of their own: everything is built anew with `--cfg loom`.
model: tools
	CARGO_TARGET_DIR='$(TARGET)/loom' RUSTFLAGS='--cfg loom -C debug-assertions' LONG='$(LONG)' \
		$(CARGO) test --release --features model --test model -- $(if $(MODEL),'$(MODEL)')

test-c: build
	@tests/run-programs.sh c cpp

test-python: build venv
	cd python && '$(VENV_BIN)/python' -m pytest tests
	cd python && SHARECELL_PURE=1 '$(VENV_BIN)/python' -m pytest tests

# A peer that cannot be installed is left out, and named.
bench-python: build venv
	@'$(VENV_BIN)/python' -m pip install --quiet --disable-pip-version-check -r python/benches/requirements.txt || \
		echo 'faster-fifo cannot be installed'
	'$(VENV_BIN)/python' python/benches/bench.py $(if $(QUICK),--quick) $(if $(JSON),--json '$(JSON)')

# Unloaded it takes some three minutes; the long form four times as long.
test-cpython: build venv
	cd python/tests/cpython && '$(VENV_BIN)/python' run.py $(if $(LONG),--long)

test-examples: build venv
	@tests/run-programs.sh examples

test-soak: build venv
	@.ci/soak.sh 28

soak: build venv
	@.ci/soak.sh $$(( $(MINUTES) * 60 ))

linear: build
	LINEAR_ROUNDS='$(ROUNDS)' $(CARGO) test $(FEATURES) --test linear -- --nocapture

# The short form, 100,000, is a part of test-rust.
many: tools
	COUNT='$(or $(COUNT),10000000)' $(CARGO) test --release $(FEATURES) --test many -- --nocapture --test-threads=1

doc:
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --no-deps $(FEATURES)

# A crate of its own, so that its many peers are nobody's dependencies.
BENCH := $(CARGO) run --release --quiet --manifest-path benches/peers/Cargo.toml --target-dir '$(TARGET)/bench' --

BENCH_VENV := $(TARGET)/bench/venv

$(BENCH_VENV)/.ready: benches/peers/python/requirements.txt .ci/bench-venv.sh
	.ci/bench-venv.sh '$(PYTHON)' '$(BENCH_VENV)' $<
	@touch $@

# The peers take too long to check for `make lint`.
lint-bench:
	$(CARGO) clippy --release --quiet --manifest-path benches/peers/Cargo.toml --target-dir '$(TARGET)/bench' -- -D warnings

bench: lint-bench build $(BENCH_VENV)/.ready
	$(BENCH) run --python '$(BENCH_VENV)/bin/python' $(if $(QUICK),--quick) $(if $(ONLY),--only '$(ONLY)') \
		$(if $(REPEATS),--repeats $(REPEATS)) $(if $(MS),--trial-ms $(MS)) --out '$(TARGET)/bench/results.json'

kills: build $(BENCH_VENV)/.ready
	$(BENCH) kills --python '$(BENCH_VENV)/bin/python' --times '$(or $(N),100)' $(if $(ONLY),--only '$(ONLY)') --out '$(TARGET)/bench/kills.json'

# The program is run itself, so that perf sees nothing of cargo.
profile: tools venv
	$(CARGO) build --release --quiet --manifest-path benches/peers/Cargo.toml --target-dir '$(TARGET)/bench'
	@.ci/profile.sh '$(TARGET)/bench/release/peers' $(if $(ONLY),'$(ONLY)' '$(or $(PEER),sharecell TypedQueue)')

bench-doc:
	$(BENCH) doc --results '$(TARGET)/bench/results.json' --kills '$(TARGET)/bench/kills.json' \
		--profiles '$(TARGET)/bench/profiles.json' --folder docs

count: tools venv
	@$(if $(BLESS),SHARECELL_BLESS=1) .ci/count.sh

sanitize-short: build venv
	@.ci/sanitize.sh

sanitize: build venv
	@.ci/sanitize.sh full

tsan: tools
	@.ci/tsan.sh

# What makes it fail is added to fuzz/found.txt; SHARECELL_BLESS=1 keeps what it learned in fuzz/corpus.txt.
fuzz: tools venv
	@.ci/fuzz.sh '$(or $(SECONDS),60)'

# Builds the library anew for each defence.
traps: tools
	$(CARGO) test --test defences -- $(TRAP)

header:
	SHARECELL_BLESS=1 $(CARGO) test $(FEATURES) --test header

golden:
	SHARECELL_BLESS=1 $(CARGO) test $(FEATURES) --test golden

wheel: venv
	rm -rf python/dist
	env -u PYTHONPATH '$(VENV_BIN)/python' -m pip wheel --quiet --no-deps --wheel-dir python/dist ./python
	@ls python/dist/*.whl

test-wheel: wheel
	@.ci/test-wheel.sh

clean:
	$(CARGO) clean
	rm -rf '$(VENV)' python/dist
