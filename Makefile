# Cargo where rustup puts it, and nginx where users do not look, for shells that do not know of them.
export PATH := $(PATH):$(HOME)/.cargo/bin:/usr/sbin
TARGET := $(or $(CARGO_TARGET_DIR),target)

help: ## lists these targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 16

# Built before the database starts, replaced by the server so that Ctrl-C reaches it.
run: tools ## builds the server and runs it on http://127.0.0.1:8080
	cargo build --release
	@exec sql/cluster run $(TARGET)/release/doorward serve

test: tools ## runs the tests on a throw-away PostgreSQL
	@sql/cluster need nginx nginx
	@sql/cluster need /usr/lib/nginx/modules/ngx_http_headers_more_filter_module.so libnginx-mod-http-headers-more-filter
	@sql/cluster need caddy caddy
	@sql/cluster need fail2ban-regex fail2ban
	@sql/cluster need systemd-analyze systemd
	@sql/cluster need openssl openssl
	@sql/cluster need curl curl
	@exec sql/cluster try cargo test

browser-test: browser-tools ## runs the tests that drive a real Chromium, installing it if it is missing
	@exec sql/cluster try $(BROWSER_TEST)

screenshots: browser-tools ## makes the pictures in tests/screenshots again
	@sql/cluster need pngquant pngquant
	@sql/cluster try $(BROWSER_TEST) photographed
	mkdir -p tests/screenshots
	pngquant --force --ext .png --nofs 200 target/screenshots/readme/*.png
	cp target/screenshots/readme/*.png tests/screenshots/

firewall-test: tools ## as root: lets the real fail2ban keep a guesser out of a network of its own
	@sql/cluster need nginx nginx
	@sql/cluster need /usr/lib/nginx/modules/ngx_http_headers_more_filter_module.so libnginx-mod-http-headers-more-filter
	@sql/cluster need fail2ban-server fail2ban
	@sql/cluster need nft nftables
	@sql/cluster need ip iproute2
	@sql/cluster need curl curl
	@sql/cluster need /usr/lib/python3/dist-packages/systemd/__init__.py python3-systemd
	@sql/cluster need /usr/lib/systemd/systemd-journal-remote systemd-journal-remote
	@exec sql/cluster try cargo test --test it -- --ignored firewall

bench: tools ## measures, beside nginx and a raw bcrypt hash, for about two minutes
	@sql/cluster need nginx nginx
	@sql/cluster need wrk wrk
	@exec sql/cluster try cargo bench --bench numbers

check: tools ## checks format, lints and documentation
	cargo fmt --check
	cargo clippy --all-targets --all-features -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --no-deps

# The systems are Debian's newest two; the host needs no more than root and Linux.
package-test: deb ## installs the package on fresh Debian systems, in containers
	@sql/cluster need mmdebstrap mmdebstrap
	@sql/cluster need systemd-nspawn systemd-container
	@sql/cluster need curl curl
	tests/package $(TARGET)/debian/doorward_*.deb bookworm trixie

clean: ## deletes what was built, and the kept PostgreSQL cluster with every user registered in it
	cargo clean
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
	@sql/cluster need dpkg-shlibdeps dpkg-dev
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
	$(MAKE) tools
	cargo build --release
	touch $@

# rustc links with cc, and some crates compile C.
tools:
	@command -v cargo >/dev/null || { echo 'cargo is missing: install Rust, see https://rustup.rs' >&2; exit 1; }
	@sql/cluster need cc gcc libc6-dev

# Chromium, and what looks at pages for it: axe-core inside it, the Nu HTML checker beside it.
BROWSER_TEST = cargo test --features browser-test --test browser -- --ignored --test-threads=2
browser-tools: tools
	@sql/cluster need chromium chromium
	@sql/cluster need npm npm
	@sql/cluster need java default-jre-headless
	npm install --prefix target/npm --no-save --no-audit --no-fund --loglevel=error axe-core@4.14.1 vnu-jar@26.9.27

.PHONY: help run test firewall-test browser-test screenshots bench check clean install deb tools browser-tools package-test
