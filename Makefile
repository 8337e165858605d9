# Everything a developer types. Each target makes its own environment in .venv first.
SHELL := /bin/bash
VENV := .venv
RUN := $(VENV)/bin/python
# make PYTHON=/path/to/python3.12 chooses the interpreter.
PYTHON ?=
READY := $(VENV)/.ready
PROTOS := $(wildcard proto/sandbox/v1/*.proto)
PROTOC := $(RUN) -m grpc_tools.protoc -I sandbox/rpc=proto/sandbox/v1

BENCHMARKS := large_query latency concurrency startup install demo kernels join_kernels many

.PHONY: setup demo test breaks histories lint format types imports native failures fuzz stubs stubs-check docker-lint bench predicted peers figures ci clean

setup: $(READY)

# Installed again whenever the project's requirements or the Rust kernels change. Without cargo the build backend
# fetches a Rust toolchain for itself.
KERNELS := $(wildcard native/Cargo.toml native/Cargo.lock native/src/*.rs native/src/*/*.rs)

$(READY): pyproject.toml $(KERNELS)
	@found=; for python in "$(PYTHON)" python3.13 python3.12 python3.11 python3.14 python3 python; do \
	  if [ -n "$$python" ] && command -v "$$python" >/dev/null && "$$python" -c \
	    'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null; \
	  then found="$$python"; break; fi; done; \
	if [ -z "$$found" ]; then \
	  echo "fedsandbox needs Python 3.11-3.14 with venv: 'apt install python3.11-venv', 'brew install python@3.13', or python.org/downloads; then run make again (or make PYTHON=/path/to/python)." >&2; \
	  exit 1; fi; \
	test -x $(RUN) || "$$found" -m venv $(VENV)
	@$(RUN) -m pip --version >/dev/null 2>&1 || $(RUN) -m ensurepip >/dev/null
	@$(RUN) -m pip install --quiet --disable-pip-version-check -e '.[dev]' \
	  || { echo "fedsandbox could not install its packages: it needs a package index (PyPI or a mirror in PIP_INDEX_URL)." >&2; exit 1; }
	@touch $(READY)

demo: setup
	@$(VENV)/bin/sandbox demo

test: setup
	$(RUN) -m pytest -n 2 --dist loadfile

# 10,000 random histories of a node with crashes, restarts and restored backups, on all cores.
histories: setup
	$(RUN) tests/faults/histories.py 10000

# Each attack test must fail once the defence it is about is removed.
breaks: setup
	$(RUN) tests/attacks/run_breaks.py

lint: setup
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .

format: setup
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

types: setup
	$(VENV)/bin/mypy

imports: setup
	$(VENV)/bin/lint-imports

# The Rust kernels: format, lints, their own tests.
native:
	cd native && cargo fmt --check && cargo clippy --locked --all-targets --features python -- -D warnings \
	  && cargo test --locked

# How often an encoding fails, over 2^20 seeds for each of eight securities: minutes, building included, so apart from `make native`.
failures:
	cd native && cargo test --release --locked failures_fall -- --ignored --nocapture

# libFuzzer with AddressSanitizer over every parser of a peer's bytes, FUZZ_SECONDS each: what it finds lies in
# native/fuzz/artifacts, what it learnt in native/fuzz/corpus. Of a session some ten runs fit a second: inputs may be long from
# the first one on, or they would never be. The stable compiler will do. By hand, for one of them:
# cd native && RUSTC_BOOTSTRAP=1 cargo fuzz run psi_sender
FUZZ_SECONDS ?= 30
FUZZ_TARGETS := $(notdir $(basename $(wildcard native/fuzz/fuzz_targets/*.rs)))

fuzz:
	@cargo fuzz --version >/dev/null 2>&1 || { echo "make fuzz needs cargo-fuzz: cargo install cargo-fuzz --locked" >&2; exit 1; }
	cd native && export RUSTC_BOOTSTRAP=1 && cargo fuzz build && for target in $(FUZZ_TARGETS); do \
	  cargo fuzz run $$target -- -max_total_time=$(FUZZ_SECONDS) -max_len=65536 -len_control=0 -timeout=60 -rss_limit_mb=2048 || exit 1; \
	done

stubs: setup
	$(PROTOC) --python_out=. --pyi_out=. --grpc_python_out=. $(PROTOS)

# The generated code in the tree must be what the pinned generator makes of proto/.
stubs-check: setup
	@fresh=$$(mktemp -d) && trap 'rm -rf "$$fresh"' EXIT && \
	$(PROTOC) --python_out="$$fresh" --pyi_out="$$fresh" --grpc_python_out="$$fresh" $(PROTOS) && \
	for file in "$$fresh"/sandbox/rpc/*; do \
	  cmp -s "$$file" "sandbox/rpc/$${file##*/}" || { echo "sandbox/rpc/$${file##*/} is stale: run make stubs" >&2; exit 1; }; \
	done

docker-lint: setup
	@files=$$(find docker -name 'Dockerfile*' 2>/dev/null); \
	if [ -n "$$files" ]; then $(VENV)/bin/hadolint $$files; fi

# What docs/performance.md says, measured anew on this machine: ten minutes with nothing else running.
bench: setup
	@for name in $(BENCHMARKS); do \
	  $(RUN) -m benchmarks.$$name --json benchmarks/results/$$name.json || exit 1; \
	done

# What explain predicts of joins must be within a factor of two of what they take, with nothing else running.
predicted: setup
	$(RUN) -m benchmarks.predicted --within 2

# The systems that benchmarks/join.py compares with, each in an environment of its own, pinned exactly.
PEERS := .peers/secretflow/.ready .peers/openmined/.ready

peers: $(PEERS)

.peers/%/.ready: benchmarks/peers/%.txt
	@found=; for python in "$(PYTHON)" python3.11 python3 python; do \
	  if [ -n "$$python" ] && command -v "$$python" >/dev/null && "$$python" -c \
	    'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; \
	  then found="$$python"; break; fi; done; \
	if [ -z "$$found" ]; then \
	  echo "The peers need Python 3.11 (spu has no build for 3.12 or later): install it, or run make peers PYTHON=/path/to/python3.11." >&2; \
	  exit 1; fi; \
	"$$found" -m venv --clear .peers/$* \
	  && .peers/$*/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r $< && touch $@

figures: setup
	$(RUN) -m benchmarks.figures
	$(RUN) -m benchmarks.plots benchmarks/results/join.json benchmarks/results/join_growth.json docs/join.svg

ci:
	.ci/run

clean:
	rm -rf native/target sandbox/_native*.so $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
