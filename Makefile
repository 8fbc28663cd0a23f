# The two commands of the README are `make try` and `make test`; the others are for those who work
# on Waxwing.

SHELL := /bin/bash
CARGO ?= cargo

.PHONY: help try build release test check unit journeys bench fuzz clean

help:
	@echo 'make try       watch two domains exchange mail on this computer (no root, no network)'
	@echo 'make test      everything that is tested'
	@echo 'make bench     the figures, beside Postfix + Dovecot, mail-parser and mail-auth'
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

# Everything that tests run, and the program that journeys start. One selection of packages for all
# of it, so that each dependency is compiled with one set of features, once.
.PHONY: everything
everything:
	@scripts/install build
	$(CARGO) build --locked --workspace --all-targets

unit: everything
	@scripts/install unit
	@scripts/python-peers
	$(CARGO) test --locked --workspace --lib --bins --test '[!j]*'

journeys: everything
	@scripts/install journeys
	$(CARGO) test --locked --workspace --test 'journey_*'

bench: release
	@scripts/install build bench
	scripts/bench $(BENCH_ARGS)

FUZZ_SECONDS ?= 60
fuzz:
	@scripts/install build
	fuzz/run all $(FUZZ_SECONDS)

clean:
	$(CARGO) clean
