# Two commands: `make demo` and `make test`. Both install what they need.

.DEFAULT_GOAL := help
SHELL := /bin/sh
CARGO ?= cargo
PYTHON_ENVIRONMENT := .venv
DEMO := target/demo-of-tests
export CARGO_TERM_COLOR ?= auto

.PHONY: help demo test build system python format lint unit docs whole clean

help:
	@echo "make demo   the whole pipeline on this machine's real values; results in demo-out/"
	@echo "make test   formatting, lints, all tests, documentation, notebooks"
	@echo "make clean  remove what the two commands have made"

## The main job.
demo: system build
	target/debug/hubbub demo $(if $(DEVICES),--devices $(DEVICES)) $(if $(OUT),--out $(OUT)) $(if $(SEED),--seed $(SEED))

## Everything that CI checks. Packages for Python arrive while Rust builds.
test: system
	$(MAKE) -j2 build python
	$(MAKE) format lint unit docs whole

system:
	@scripts/need cc=build-essential dbus-daemon=dbus-daemon python3=python3

build:
	$(CARGO) build --workspace --locked

python: $(PYTHON_ENVIRONMENT)/complete

$(PYTHON_ENVIRONMENT)/complete: notebooks/requirements.txt scripts/python-environment
	scripts/python-environment $(PYTHON_ENVIRONMENT) $<
	@touch $@

format:
	$(CARGO) fmt --all --check

lint:
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

unit:
	$(CARGO) test --workspace --locked

docs:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked

## The demo's files through other people's programs, the reference's vectors, the approvals' digests, the notebooks.
whole:
	target/debug/hubbub demo --out $(DEMO)
	python3 tests/reference/make_vectors.py --check
	python3 metrics/refresh.py covers --check
	HUBBUB_DEMO=$(abspath $(DEMO)) $(PYTHON_ENVIRONMENT)/bin/python -m pytest -q tests/python
	HUBBUB_DEMO=$(abspath $(DEMO)) $(PYTHON_ENVIRONMENT)/bin/python -m pytest -q --nbmake notebooks

clean:
	$(CARGO) clean
	rm -rf $(PYTHON_ENVIRONMENT) demo-out
