# The two commands of the README are `make try` and `make test`; the others are for those who work
# on Waxwing.

SHELL := /bin/bash
CARGO ?= cargo

.PHONY: help try build release test check unit journeys bench fuzz clean

help:
	@echo 'make try       watch two domains exchange mail on this computer (no root, no network)'
	@echo 'make test      everything that is tested'
	@echo 'make bench     the figures, beside Postfix + Dovecot and mail-parser'
	@echo 'make release   target/release/waxwing'
	@echo 'make fuzz      every fuzz target for a minute (FUZZ_SECONDS=60)'
	@echo 'Parts of `make test`: check (format, lints), unit, journeys (real clients, Postfix, crashes)'

try: build
	target/debug/waxwing try

build:
	@scripts/install build
	$(CARGO) build --locked -p waxwing

release:
	@scripts/install build
	$(CARGO) build --locked --release -p waxwing

test: check unit journeys

check:
	@scripts/install build
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

unit:
	@scripts/install build unit
	$(CARGO) test --locked --workspace --exclude waxwing-journeys --exclude waxwing-bench

journeys: build
	@scripts/install build journeys
	$(CARGO) test --locked -p waxwing-journeys

bench: release
	@scripts/install build bench
	scripts/bench $(BENCH_ARGS)

FUZZ_SECONDS ?= 60
fuzz:
	@scripts/install build
	fuzz/run all $(FUZZ_SECONDS)

clean:
	$(CARGO) clean
