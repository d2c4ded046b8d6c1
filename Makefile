# Cargo where rustup puts it, for shells that do not know of it.
export PATH := $(PATH):$(HOME)/.cargo/bin
TARGET := $(or $(CARGO_TARGET_DIR),target)

help: ## lists these targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 16

# Built before the database starts, replaced by the server so that Ctrl-C reaches it.
run: tools ## builds the server and runs it on http://127.0.0.1:8080
	cargo build --release
	@exec sql/cluster run $(TARGET)/release/doorward serve

test: tools ## runs the tests on a throw-away PostgreSQL
	@exec sql/cluster try cargo test

browser-test: tools ## runs the tests that drive a real Chromium, installing it if it is missing
	@sql/cluster need chromium chromium
	@exec sql/cluster try cargo test --test browser -- --ignored --test-threads=1

bench: tools ## measures, beside nginx and a raw bcrypt hash, for about two minutes
	@sql/cluster need nginx nginx
	@sql/cluster need wrk wrk
	@exec sql/cluster try cargo bench --bench numbers

check: tools ## checks format, lints and documentation
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --no-deps

clean: ## deletes what was built, and the kept PostgreSQL cluster with every user registered in it
	cargo clean
	sql/cluster remove

# rustc links with cc, and some crates compile C.
tools:
	@command -v cargo >/dev/null || { echo 'cargo is missing: install Rust, see https://rustup.rs' >&2; exit 1; }
	@sql/cluster need cc gcc libc6-dev

.PHONY: help run test browser-test bench check clean tools
