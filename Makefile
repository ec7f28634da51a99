# Two targets do everything on one machine: `make demo` and `make test`. They need Rust, a C compiler and Python 3 with
# venv; all else is installed under .tools/, pinned. They may be called from any folder: make -C path/to/here demo

SHELL := /bin/bash
ROOT := $(dir $(abspath $(lastword $(MAKEFILE_LIST))))
PYTHON ?= python3
# Where cargo puts what it builds.
TARGET := $(or $(CARGO_TARGET_DIR),$(ROOT)target)
FUNCTION := -p hydration -p hydration-aws -p hydrate

.DEFAULT_GOAL := help
.PHONY: help demo sandbox test test-rust test-sandbox test-infra lint audit bench package sam-local clean

help: ## List the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: ## Run the compiled function on local emulators and show what comes back (about two minutes after compiling)
	@cd "$(ROOT)" && $(PYTHON) sandbox/demo.py

sandbox: ## Leave the emulators running, seeded, and print the environment to use
	@cd "$(ROOT)" && $(PYTHON) sandbox/sandbox.py

test: test-rust test-sandbox test-infra ## Run all the tests
	@echo "All tests passed."

test-rust: ## The domain, the adapters, the function's handler, the tool
	cd "$(ROOT)" && cargo test --locked $(FUNCTION)
	cd "$(ROOT)" && cargo test --locked -p dlq

test-sandbox: ## The compiled binaries, end to end, on emulators
	cd "$(ROOT)" && cargo build --locked -p hydrate && cargo build --locked -p dlq
	cd "$(ROOT)" && $(PYTHON) sandbox/setup.py venv kinesis
	cd "$(ROOT)" && HYDRATE_BINARY="$(TARGET)/debug/hydrate" DLQ_BINARY="$(TARGET)/debug/dlq" \
		.tools/venv/bin/python -m pytest -q sandbox/tests

test-infra: ## The templates: linted, transformed and asserted on, deployed into an emulator
	cd "$(ROOT)" && cargo build --locked -p hydrate
	cd "$(ROOT)" && $(PYTHON) sandbox/setup.py venv kinesis sam checkov
	cd "$(ROOT)" && HYDRATE_BINARY="$(TARGET)/debug/hydrate" .tools/venv/bin/python -m pytest -q infra/tests

lint: ## Format and clippy, warnings denied
	cd "$(ROOT)" && cargo fmt --all --check
	cd "$(ROOT)" && cargo clippy --locked $(FUNCTION) --all-targets -- -D warnings
	cd "$(ROOT)" && cargo clippy --locked -p dlq --all-targets -- -D warnings

audit: ## Licences, sources and banned crates; advisories too where ADVISORIES=1 and the database can be fetched
	cd "$(ROOT)" && $(PYTHON) sandbox/setup.py deny && cargo fetch --locked
	cd "$(ROOT)" && PATH="$(ROOT).tools/deny/bin:$$PATH" \
		cargo deny $(if $(ADVISORIES),check,--offline check bans licenses sources)

bench: ## Criterion for the pure parts, whole-process figures for the release binary
	cd "$(ROOT)" && cargo bench --locked -p hydration
	cd "$(ROOT)" && $(PYTHON) sandbox/bench.py

package: ## target/lambda/hydrate/bootstrap.zip for arm64, or ARCH=x86_64
	cd "$(ROOT)" && $(PYTHON) sandbox/setup.py lambda
	cd "$(ROOT)" && PATH="$(ROOT).tools/lambda/bin:$$PATH" \
		cargo lambda build --locked --release -p hydrate --output-format zip --$(or $(subst x86_64,x86-64,$(ARCH)),arm64)

sam-local: ## sam local invoke with a sample event, where Docker runs
	@cd "$(ROOT)" && $(PYTHON) sandbox/sam_local.py

clean: ## Remove what was built and installed
	cd "$(ROOT)" && rm -rf .tools .aws-sam && cargo clean
