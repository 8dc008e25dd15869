# make run    builds everything and runs holdfast.toml if it is there, else the demo, on loopback
# make install  the holdfast command into ~/.local/bin, or PREFIX/bin
# make test   formatting, lints, all tests; what CI runs
# make bench  benchmarks (cargo bench, divan)
# make cross  the daemon for 64-bit boards (aarch64), built on this machine
# make deb    Debian packages for amd64 and arm64, in target/deb
# make test-board   the unit tests under emulation, the package on virtual arm64 boards, and test-image-short
# make board  builds what that needs
# make image BOARD=qemu-arm64   what is flashed, in target/image; also raspberrypi3, raspberrypi4 (root)
# make bundle BOARD=qemu-arm64  the signed update of the same version; KEYS is the directory of its keys
# make test-image   boots the image of the virtual board, updates it, damages it; long
# make test-image-short  a thousand flipped bits of an update, and the fallback from a damaged slot; minutes
# make deny   licences, sources and known faults of every dependency
# make dist  the source tarball with vendored crates and the built page, in target/dist; what yocto/ builds from
# make lint-yocto   the Yocto layer, without bitbake
# make lint-image   the image's scripts, and the files for Raspberry Pi Imager
# make soak   property tests, simulated crashes, real kills and power cuts until stopped; MINUTES and SEED are heard,
#             with CUTS=5000 KILLS=1000 that many power cuts and kills, once

SHELL := /bin/bash
.DELETE_ON_ERROR:

PAGE := src/serve/page
# Players of HLS that other people wrote, for the tests alone.
PLAYERS := tests/support/players
# Your own file is used when there is something in it; else one test picture.
CONFIG ?= $(shell test -s holdfast.toml && echo holdfast.toml || echo tests/demo.toml)
PREFIX ?= $(HOME)/.local
PROGRAM ?= target/release/holdfast

# g++ and nasm build the H.264 library, libclang reads the kernel's V4L2 header; the rest is Rust.
BUILD_PACKAGES := ca-certificates g++ nasm python3 libclang1-14 libclang-common-14-dev linux-libc-dev
# The real peers of the tests: a camera server, readers, a browser.
TEST_PACKAGES := ffmpeg curl python3 python3-gi gir1.2-gst-rtsp-server-1.0 \
	gstreamer1.0-tools gstreamer1.0-rtsp gstreamer1.0-plugins-base gstreamer1.0-plugins-good \
	gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-libav \
	vlc-bin vlc-plugin-base firefox-esr \
	chromium fonts-dejavu-core libde265-0 qemu-utils e2fsprogs mount bsdutils \
	iproute2 jq nginx-light openssl nghttp2-client libnss3-tools unzip libcurl4-openssl-dev python3-venv systemd rauc squashfs-tools python3-zeroconf
# A board in software, and the Debian 12 that it boots.
BOARD_PACKAGES := qemu-system-arm qemu-user-static mmdebstrap arch-test busybox-static kmod
# What makes an image and an update, and what reads its scripts.
IMAGE_PACKAGES := genimage dosfstools mtools u-boot-tools u-boot-qemu bmap-tools xz-utils cryptsetup-bin \
	fdisk cpio binutils rauc squashfs-tools
LINT_PACKAGES := shellcheck python3
BOARD ?= qemu-arm64
KEYS ?= target/image/keys
export KEYS

ARM64 := target/cross/aarch64-unknown-linux-gnu/release/holdfast

.PHONY: run install install-program api-fuzzer test test-board board board-tests board-image bench soak dist lint-yocto cross \
	deb deb-arm64 page players image bundle test-image test-image-short lint-image deny \
	packages-build packages-test packages-cross packages-board packages-image check-tools clean

run: packages-build page
	cargo build --release --locked
	@exec ./target/release/holdfast run --config $(CONFIG)

install: packages-build page
	cargo build --release --locked
	@$(MAKE) --no-print-directory install-program

# Copies what is built; says what to do where the shell would not find it.
install-program:
	@install -D -m 0755 $(PROGRAM) "$(DESTDIR)$(PREFIX)/bin/holdfast"
	@echo "Installed $(DESTDIR)$(PREFIX)/bin/holdfast."
	@case ":$$PATH:" in *":$(PREFIX)/bin:"*) ;; *) \
		echo "Your PATH does not name its directory yet:"; \
		echo '    export PATH="$(PREFIX)/bin:$$PATH"';; esac

test: packages-build packages-test page players api-fuzzer lint-yocto lint-image
	cd $(PAGE) && npm run --silent typecheck && npm test && npm run --silent size
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	@.ci/tests

test-board: deb-arm64 packages-image
	@.ci/test-board

board: deb-arm64 board-tests board-image

board-tests: packages-board page
	.ci/cross test --release --locked --lib --no-run

board-image: packages-board
	@tests/board/build.sh

image: deb-arm64 packages-image
	@image/build.sh $(BOARD)

# Of the slot that `make image` left.
bundle: packages-image
	@[ -e target/image/$(BOARD).slot ] || $(MAKE) --no-print-directory image BOARD=$(BOARD)
	@image/bundle.sh target/image/$(BOARD).slot \
		target/image/holdfast-$$(sed -n 's/^VERSION=//p' target/image/$(BOARD).slot.facts)-$(BOARD).raucb

test-image: deb-arm64 packages-image
	@.ci/test-image

test-image-short: deb-arm64 packages-image
	@.ci/test-image short

lint-image:
	@.ci/packages $(LINT_PACKAGES)
	@.ci/lint-image

deny: check-tools
	@.ci/deny

bench: packages-build packages-test page
	cargo bench --locked

soak: packages-build packages-test page api-fuzzer
	@.ci/soak

dist: page
	@.ci/dist

lint-yocto: packages-test
	@.ci/lint-yocto

cross: packages-cross page
	@.ci/cross build --release --locked
	@.ci/glibc-floor $(ARM64) aarch64-linux-gnu-objdump

deb-arm64: cross
	@.ci/deb arm64 $(ARM64) aarch64-linux-gnu-strip

deb: deb-arm64 packages-build
	cargo build --release --locked
	@.ci/glibc-floor target/release/holdfast objdump
	@.ci/deb amd64 target/release/holdfast strip

page: $(PAGE)/node_modules/.built

players: $(PLAYERS)/node_modules/.package-lock.json

api-fuzzer: packages-test
	@.ci/schemathesis

$(PLAYERS)/node_modules/.package-lock.json: $(PLAYERS)/package.json $(PLAYERS)/package-lock.json | check-tools
	cd $(PLAYERS) && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

$(PAGE)/node_modules/.package-lock.json: $(PAGE)/package.json $(PAGE)/package-lock.json | check-tools
	cd $(PAGE) && npm ci --no-audit --no-fund
	@touch $@

$(PAGE)/node_modules/.built: $(PAGE)/node_modules/.package-lock.json $(shell find $(PAGE) -path $(PAGE)/node_modules -prune -o -path $(PAGE)/dist -prune -o -path $(PAGE)/test-results -prune -o -type f -print)
	cd $(PAGE) && npm run --silent build
	@touch $@   # a stamp of our own: cargo alone puts a placeholder into dist

packages-build: check-tools
	@.ci/packages $(BUILD_PACKAGES)

packages-test: packages-build
	@.ci/packages $(TEST_PACKAGES)

packages-cross: packages-build
	@.ci/cross packages

# All of them by name: what the boards need must not push out what the tests need.
packages-board: packages-test packages-cross
	@.ci/packages $(BUILD_PACKAGES) $(TEST_PACKAGES) $(BOARD_PACKAGES)

packages-image: packages-board
	@.ci/packages $(BUILD_PACKAGES) $(TEST_PACKAGES) $(BOARD_PACKAGES) $(IMAGE_PACKAGES)

check-tools:
	@command -v cargo >/dev/null || { echo "Rust is missing: install it from https://rustup.rs, then try again." >&2; exit 1; }
	@command -v npm >/dev/null || { echo "Node.js with npm is missing: install Node.js 20 or later, then try again." >&2; exit 1; }

clean:
	cargo clean
	rm -rf $(PAGE)/dist $(PAGE)/node_modules $(PLAYERS)/node_modules tests/data/made
