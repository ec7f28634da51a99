# `make check` needs Rust and a C compiler. The other targets also need Python 3 with venv, and install all else under
# .tools/, pinned. They may be called from any folder: make -C path/to/here demo

SHELL := /bin/bash
ROOT := $(dir $(abspath $(lastword $(MAKEFILE_LIST))))
PYTHON ?= python3
# Where cargo puts what it builds.
TARGET := $(or $(CARGO_TARGET_DIR),$(ROOT)target)
FUNCTION := -p hydration -p hydration-aws -p function-kit -p hydrate
DIGEST := -p failure-digest
INSTALL := cd "$(ROOT)" && $(PYTHON) scripts/install.py
# The Python of the pinned packages, started in the tree's folder so that it finds sandbox, scripts and tests.
VENV := cd "$(ROOT)" && .tools/venv/bin/python
# The end-to-end tests to run, as pytest takes them, and how many at a time: most of their time is waiting.
TESTS ?= tests
JOBS ?= 10

.DEFAULT_GOAL := help
.PHONY: help demo sandbox check test test-rust test-e2e tested lint audit bench bench-archive soak package release sam-local clean

help: ## List the targets
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: ## Run the compiled function on local emulators and show what comes back (seconds, after compiling)
	@$(INSTALL) venv kinesis
	@$(VENV) -m sandbox.demo

sandbox: ## Leave the emulators running, with data, and print the environment to use
	@$(INSTALL) venv kinesis
	@$(VENV) -m sandbox

# The results of `cargo test`, which `make test` runs beside the end-to-end tests: these wait most of their time.
RESULTS := $(TARGET)/test-rust.log
# Copies of the programs under test: `cargo test` puts its own builds, with the features that its tests need, where
# `cargo build` has put them.
TESTED := $(TARGET)/tested
# Nine processes read the tests: compiled once, whatever the environment says.
PYTEST = cd "$(ROOT)" && HYDRATE_BINARY="$(TESTED)/hydrate" DIGEST_BINARY="$(TESTED)/digest" \
	DLQ_BINARY="$(TESTED)/dlq" PYTHONDONTWRITEBYTECODE= \
	.tools/venv/bin/python -m pytest -q -rs -n $(JOBS) --dist load --maxschedchunk 1 $(TESTS)

check: lint test-rust ## Format, clippy and cargo test: no Python, under 90 seconds after compiling

test: ## Run all the tests, in 6 minutes after compiling
	cd "$(ROOT)" && cargo test --locked --no-run $(FUNCTION) && cargo test --locked --no-run $(DIGEST) && \
		cargo test --locked --no-run -p dlq
	@cd "$(ROOT)" && $(MAKE) --no-print-directory tested
	@cd "$(ROOT)"; $(MAKE) --no-print-directory test-rust >"$(RESULTS)" 2>&1 & rust=$$!; \
		$(PYTEST); e2e=$$?; wait $$rust; rust=$$?; \
		if [ $$rust = 0 ]; then grep -h '^test result' "$(RESULTS)"; else cat "$(RESULTS)"; fi; \
		[ $$rust = 0 ] && [ $$e2e = 0 ] && echo "All tests passed."

test-rust: ## cargo test: the domain, the adapters, the function's handler, the tool
	cd "$(ROOT)" && cargo test --locked $(FUNCTION)
	cd "$(ROOT)" && cargo test --locked $(DIGEST)
	cd "$(ROOT)" && cargo test --locked -p dlq

test-e2e: tested ## The compiled binaries on emulators, and the templates; TESTS="tests/tool -k replay" runs a part
	$(PYTEST)

tested:
	cd "$(ROOT)" && cargo build --locked -p hydrate && cargo build --locked $(DIGEST) && \
		cargo build --locked -p dlq
	@cd "$(ROOT)" && mkdir -p "$(TESTED)" && cd "$(TESTED)" && cp -f ../debug/hydrate ../debug/digest ../debug/dlq .
	$(INSTALL) venv kinesis sam checkov duckdb

lint: ## Format and clippy, warnings denied
	cd "$(ROOT)" && cargo fmt --all --check
	cd "$(ROOT)" && cargo clippy --locked $(FUNCTION) --all-targets -- -D warnings
	cd "$(ROOT)" && cargo clippy --locked $(DIGEST) --all-targets -- -D warnings
	cd "$(ROOT)" && cargo clippy --locked -p dlq --all-targets -- -D warnings

audit: ## Licences, sources and banned crates; advisories too where ADVISORIES=1 and the database can be fetched
	$(INSTALL) deny && cargo fetch --locked
	cd "$(ROOT)" && PATH="$(ROOT).tools/deny/bin:$$PATH" \
		cargo deny $(if $(ADVISORIES),check,--offline check bans licenses sources)

bench: ## Criterion for the pure parts, whole-process figures of the release binaries; ZIP=FILE adds a package's size
	cd "$(ROOT)" && cargo bench --locked -p hydration
	$(INSTALL) venv kinesis
	$(VENV) -m scripts.bench $(ZIP)
	$(VENV) -m scripts.bench_tool

bench-archive: ## What a question to the archive takes, with and without compaction; OBJECTS=100000 for fewer than a million
	$(INSTALL) venv duckdb
	$(VENV) -m scripts.archive_bench $(if $(OBJECTS),--objects $(OBJECTS))

soak: ## Property tests on all cores: HISTORIES=1000000 histories of each property, FUZZ=3600 seconds of tests/fuzz
	cd "$(ROOT)" && $(PYTHON) -m scripts.soak $(if $(HISTORIES),--histories $(HISTORIES)) $(if $(FUZZ),--fuzz $(FUZZ))

PACKAGED = --output-format zip --$(or $(subst x86_64,x86-64,$(ARCH)),arm64)

package: ## target/lambda/{hydrate,digest}/bootstrap.zip for arm64, or ARCH=x86_64
	$(INSTALL) lambda
	cd "$(ROOT)" && PATH="$(ROOT).tools/lambda/bin:$$PATH" \
		cargo lambda build --locked --release -p hydrate $(PACKAGED) && \
		PATH="$(ROOT).tools/lambda/bin:$$PATH" cargo lambda build --locked --release $(DIGEST) $(PACKAGED)

release: ## dist/: the functions' zips for both architectures, plain templates, dlq with its manual, checksums
	@$(INSTALL) venv
	@$(VENV) -m scripts.release

sam-local: ## sam local invoke, where Docker runs; EVENTS="FILE ..." sends your own events, KEEP=1 leaves the emulators running
	@$(INSTALL) venv kinesis
	@$(VENV) -m scripts.sam_local $(if $(KEEP),--keep) $(EVENTS)

clean: ## Remove what was built and installed
	cd "$(ROOT)" && rm -rf .tools .aws-sam dist && cargo clean
