# Two commands: `make demo` and `make test`. Both install what they need.

.DEFAULT_GOAL := help
SHELL := /bin/sh
CARGO ?= cargo
PYTHON_ENVIRONMENT := .venv
DEMO := target/demo-of-tests
CERTIFICATES := target/certificates
SAMPLES := target/speed-samples
SKIPPED := target/skipped
SOAK := target/soak
# The bugs that every run plants; `make test-full` plants all.
PLANTED := acknowledge_before_commit no_dedupe ids_apart fsync_dropped group_of_one
export CARGO_TERM_COLOR ?= auto

.PHONY: help demo test test-full soak bench bench-server build system python format lint unit docs planted whole skipped clean

help:
	@echo "make demo   the whole pipeline on this machine's real values; results in demo-out/"
	@echo "make test   formatting, lints, all tests, documentation, notebooks"
	@echo "make test-full  the same, 1,000 clean runs of every privacy check, none of which may raise an alarm, and 1,000 kills"
	@echo "make soak   the server against faults for hours, 10,000 kills among them; goes on where it was interrupted"
	@echo "make bench  speed and error beside limits and peers, on one core; ends with a table of ratios"
	@echo "make bench-server  the report server under load beside a bare one, on all cores; a quarter of an hour after a release build"
	@echo "make clean  remove what the two commands have made"

## The main job.
demo: system build
	target/debug/hubbub demo $(if $(DEVICES),--devices $(DEVICES)) $(if $(OUT),--out $(OUT)) $(if $(SEED),--seed $(SEED))

## Everything that CI checks. Packages for Python arrive while Rust builds.
test: system
	$(MAKE) -j2 build python
	$(MAKE) format lint unit docs planted whole skipped

## What takes too long for every day. The few runs of `make test` are the same ones.
test-full: test
	HUBBUB_CLEAN_RUNS=1000 $(CARGO) test --release --locked -p hubbub-randomizer --test outside mutants::clean -- --nocapture
	HUBBUB_LONG=1 $(CARGO) test --workspace --locked --test server -- a_busy_connection_ends
	python3 tests/reference/shuffle.py --check
	target/debug/hubbub-faults all --extent long
	faults/planted/check

## The release build against everything, resumable; ends with a table. `rm -r $(SOAK)` begins again.
soak: system
	$(CARGO) build --workspace --release --locked --bin hubbub-aggregator --bin hubbub-faults
	@# An interrupted run leaves its places behind.
	rm -rf $(SOAK)/places && mkdir -p $(SOAK)/places
	TMPDIR=$(abspath $(SOAK)/places) target/release/hubbub-faults all --extent soak --states $(SOAK)

## Figures of an earlier run would look like this run's.
bench: system build
	rm -rf $(SAMPLES)
	CRITERION_HOME=$(abspath $(SAMPLES)) $(CARGO) bench --locked -p hubbub-randomizer --bench speed -- --noplot
	benches/peers/run
	python3 benches/ratios.py $(SAMPLES) target/peers/speed.jsonl

## The programs as they are shipped: optimized as a whole.
bench-server: system
	$(CARGO) build --release --locked -p hubbub-aggregator -p hubbub-bench-server
	python3 benches/server/measure.py target/release target/bench-server.md

system:
	@scripts/need cc=build-essential curl=curl dbus-daemon=dbus-daemon nginx=nginx-light patch=patch python3=python3 \
		strace=strace systemd-analyze=systemd

build:
	$(CARGO) build --workspace --locked

python: $(PYTHON_ENVIRONMENT)/complete

$(PYTHON_ENVIRONMENT)/complete: tests/requirements.txt scripts/python-environment
	scripts/python-environment $(PYTHON_ENVIRONMENT) $<
	@touch $@

format:
	$(CARGO) fmt --all --check

lint:
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

unit:
	@mkdir -p $(dir $(SKIPPED)) && rm -f $(SKIPPED)
	HUBBUB_SKIPPED=$(abspath $(SKIPPED)) $(CARGO) test --workspace --locked

docs:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked

## Servers with planted bugs: the checks must find them.
planted:
	HUBBUB_SKIPPED=$(abspath $(SKIPPED)) faults/planted/check $(PLANTED)

## The demo's files through other people's programs, certificates through the second verifier, the reference's vectors, the
## approvals' digests, the notebooks.
whole:
	target/debug/hubbub demo --out $(DEMO)
	rm -rf $(CERTIFICATES)
	target/debug/hubbub audit --registry metrics --out $(CERTIFICATES)
	python3 privacy/verify_certificates.py --registry metrics $(CERTIFICATES)
	python3 tests/reference/make_vectors.py --check
	python3 metrics/refresh.py covers --check
	HUBBUB_DEMO=$(abspath $(DEMO)) HUBBUB_AUDIT=$(abspath $(CERTIFICATES)) $(PYTHON_ENVIRONMENT)/bin/python -m pytest -q tests/python
	HUBBUB_DEMO=$(abspath $(DEMO)) $(PYTHON_ENVIRONMENT)/bin/python -m pytest -q --nbmake notebooks

## What this machine did not permit, or what is left to the long forms.
skipped:
	@if [ -s $(SKIPPED) ]; then sort -u $(SKIPPED); else echo "nothing was skipped"; fi

clean:
	$(CARGO) clean
	rm -rf $(PYTHON_ENVIRONMENT) demo-out
