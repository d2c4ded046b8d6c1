# Cargo where rustup puts it, and nginx where users do not look, for shells that do not know of them.
export PATH := $(PATH):$(HOME)/.cargo/bin:/usr/sbin
TARGET := $(or $(CARGO_TARGET_DIR),target)

help: ## lists these targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 16

# Built before the database starts, replaced by the server so that Ctrl-C reaches it.
run: cargo ## builds the server and runs it on http://127.0.0.1:8080
	@sql/cluster need $(BUILD) $(if $(DATABASE_URL),,postgresql)
	cargo build --release
	@exec sql/cluster run $(TARGET)/release/doorward serve

test: cargo ## runs the tests on a throw-away PostgreSQL
	@sql/cluster need $(BUILD) postgresql nginx caddy curl openssl kill:procps systemd-analyze:systemd \
		fail2ban-regex:fail2ban fail2ban-client:fail2ban \
		/usr/bin/python3:python3 /usr/lib/python3/dist-packages/aiosmtpd/smtp.py:python3-aiosmtpd
	@exec sql/cluster try cargo test

browser-test: browser ## runs the tests that drive a real Chromium, installing it if it is missing
	@exec sql/cluster try $(BROWSER_TEST)

screenshots: browser ## makes the pictures in tests/screenshots again
	@sql/cluster need pngquant
	@sql/cluster try $(BROWSER_TEST) photographed
	mkdir -p tests/screenshots
	pngquant --force --ext .png --nofs 200 target/screenshots/readme/*.png
	cp target/screenshots/readme/*.png tests/screenshots/

firewall-test: cargo ## as root: lets the real fail2ban keep a guesser out of a network of its own
	@sql/cluster need $(BUILD) postgresql nginx curl nft:nftables ip:iproute2 \
		fail2ban-server:fail2ban fail2ban-client:fail2ban fail2ban-regex:fail2ban \
		/usr/lib/python3/dist-packages/systemd/__init__.py:python3-systemd \
		/usr/lib/systemd/systemd-journal-remote:systemd-journal-remote
	@exec sql/cluster try cargo test --test it -- --ignored firewall

bench: cargo ## measures, beside nginx, axum and a raw bcrypt hash, for about five minutes
	@sql/cluster need $(BUILD) postgresql nginx wrk kill:procps
	cargo build --profile peer --package doorward-bench-axum
	@exec sql/cluster try cargo bench --bench numbers

check: cargo ## checks format, lints, documentation, and what the text of src must not say
	@sql/cluster need $(BUILD)
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --no-deps
	cargo test --test it house::

# The systems are Debian's newest two; the host needs no more than root and Linux.
package-test: deb ## installs the package on fresh Debian systems, in containers
	@sql/cluster need mmdebstrap systemd-nspawn:systemd-container nsenter:util-linux curl
	tests/package $(TARGET)/debian/doorward_*.deb bookworm trixie

clean: ## deletes what was built
	cargo clean

remove-database: ## deletes the PostgreSQL cluster that `make run` keeps, with every user registered in it
	sql/cluster remove

PREFIX ?= /usr/local
PROGRAM := $(TARGET)/release/doorward

install: $(PROGRAM) ## installs program, service and settings; PREFIX=/usr/local and DESTDIR= say where
	install -D -m 755 $(PROGRAM) $(DESTDIR)$(PREFIX)/bin/doorward
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/lib/systemd/system deploy/systemd/system/doorward.*
	sed -i 's:/usr/local/bin/:$(PREFIX)/bin/:' $(DESTDIR)$(PREFIX)/lib/systemd/system/doorward.service
	[ -e $(DESTDIR)/etc/doorward.env ] || install -D -m 640 deploy/doorward.env $(DESTDIR)/etc/doorward.env

PACKAGE := $(TARGET)/package
deb: $(PROGRAM) ## packs the same for Debian and Ubuntu, in target/debian
	@sql/cluster need dpkg-shlibdeps:dpkg-dev
	rm -rf $(PACKAGE)
	$(MAKE) install PREFIX=/usr DESTDIR=$(PACKAGE)
	install -D -m 644 LICENSE $(PACKAGE)/usr/share/doc/doorward/copyright
	install -m 644 README.md $(PACKAGE)/usr/share/doc/doorward/
	cd deploy && find . -type f ! -path './debian/*' -exec install -D -m 644 '{}' \
		'$(abspath $(PACKAGE))/usr/share/doc/doorward/deploy/{}' ';'
	install -D -m 755 -t $(PACKAGE)/DEBIAN deploy/debian/post*
	cd deploy/debian && install -m 644 -t $(abspath $(PACKAGE))/DEBIAN control conffiles triggers
	install -D /dev/null $(PACKAGE).libraries/debian/control
	sed -i "s/@VERSION@/$$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)/; \
		s/@ARCHITECTURE@/$$(dpkg --print-architecture)/; \
		s/@LIBRARIES@/$$(cd $(PACKAGE).libraries && dpkg-shlibdeps -O $(abspath $(PACKAGE))/usr/bin/doorward | cut -d = -f 2-)/" \
		$(PACKAGE)/DEBIAN/control
	mkdir -p $(TARGET)/debian
	dpkg-deb --root-owner-group --build $(PACKAGE) $(TARGET)/debian

# `sudo make install` finds the program built, and needs no cargo.
$(PROGRAM): Cargo.toml Cargo.lock build.rs $(shell find src sql -type f)
	$(MAKE) cargo
	sql/cluster need $(BUILD)
	cargo build --release
	touch $@

# rustc links with cc, and some crates compile C.
BUILD := cc:gcc,libc6-dev
cargo:
	@command -v cargo >/dev/null || { echo 'cargo is missing: install Rust, see https://rustup.rs' >&2; exit 1; }

# Chromium, and what looks at pages for it: axe-core inside it, the Nu HTML checker beside it.
BROWSER_TEST = cargo test --package doorward-browser-test -- --test-threads=2
browser: cargo
	@sql/cluster need $(BUILD) postgresql chromium npm java:default-jre-headless
	npm install --prefix target/npm --no-save --no-audit --no-fund --loglevel=error axe-core@4.14.1 vnu-jar@26.9.27

.PHONY: help run test firewall-test browser-test screenshots bench check clean install deb package-test remove-database cargo browser
