# make up and make test do all the set-up; `make` alone lists the targets.

# Variables that a shell may have set for something else. Cargo builds where spin.toml looks.
override export CARGO_TARGET_DIR := $(CURDIR)/target
unexport CARGO_BUILD_BUILD_DIR CARGO_BUILD_RUSTFLAGS CARGO_BUILD_TARGET CARGO_ENCODED_RUSTFLAGS \
	CLIPPY_CONF_DIR RUSTFLAGS $(filter CARGO_PROFILE_% CARGO_TARGET_WASM32_%,$(.VARIABLES))
override export LC_ALL := C.UTF-8
unexport BASH_ENV CDPATH ENV LANGUAGE NODE_ENV NODE_OPTIONS PIP_TARGET PIP_USER PYTHONHOME PYTHONPATH
override export TMPDIR := $(or $(and $(filter 1,$(words $(TMPDIR))),$(wildcard $(TMPDIR)/.),$(abspath $(TMPDIR))),/tmp)
# Nothing on this machine is reached through a proxy.
override export no_proxy := 127.0.0.1,localhost,::1,$(or $(no_proxy),$(NO_PROXY))
override export NO_PROXY := $(no_proxy)
# The tests set these themselves. BASE_URL is for `make api` and `make smoke`.
unexport EXTRA_SQL LIBSQL_TOKEN LUOYUN_SOURCE REDISCLI_AUTH $(filter PG%,$(.VARIABLES))
ifneq ($(MAKECMDGOALS),up)
unexport RUNTIME_CONFIG_FILE $(filter OTEL_% SPIN_%,$(.VARIABLES))
endif
ifeq ($(filter bench test-deploy up,$(MAKECMDGOALS)),)
unexport LUOYUN_MANIFEST
endif
ifneq ($(filter-out api smoke,$(or $(MAKECMDGOALS),help)),)
override undefine BASE_URL
endif
# Builds share a folder, installs share a lock, and some tests measure time.
.NOTPARALLEL:

TEST_COMPONENTS := -p empty -p bare
WASM := --locked --target wasm32-wasip1
# The endpoints that also have a component for WASI 0.3.
WASI03 := instance-baseinfo logout myun-instance
IT := cargo test --locked -p api-tests --test it --
# Most tests wait, for a server or a deadline.
AT_ONCE := --test-threads $$((2 * $$(nproc)))
ON_ANY_HOST := --skip devhost_only:: --skip floods::
# Not these, which test what both manifests have.
ON_WASI03 := LUOYUN_MANIFEST=spin-wasi03.toml $(IT) $(AT_ONCE) $(ON_ANY_HOST) --skip admin:: --skip console:: \
	--skip deploy:: --skip passwords::
BROWSER := EXTRA_SQL=tests/browser/fixtures.sql tests/with-devhost.sh tests/browser/run.sh
# Locally a newer compiler's lints are warnings.
DENY := $(if $(filter true 1,$(CI)),-- -D warnings)

.DEFAULT_GOAL := help

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 13

up: components ## serve the API; LISTEN=127.0.0.1:3000 STATE_DIR=.spin DEMO=1
	@scripts/serve.sh

admin: ## build target/debug/luoyun-admin
	cargo build --locked -p luoyun-admin

components: wasm-target ## build the components for WASI 0.2
	cargo build --release $(WASM)

# spin-wasi03.toml is spin.toml with other sources. It is as old as the beginning of the build:
# scripts/manifest.sh compares it with the source files.
build: components ## build all components, and spin-wasi03.toml for Spin 4.1 or later
	@sed $(foreach it,$(WASI03),-e 's|/release/$(subst -,_,$(it)).wasm|/wasi03/$(subst -,_,$(it)).wasm|' \
		-e 's|--release \(.* -p $(it)"\)|--profile wasi03 -F luoyun-common/wasi03 \1|') spin.toml >spin-wasi03.new
	cargo build --profile wasi03 $(WASM) $(WASI03:%=-p %) -F luoyun-common/wasi03
	@mv spin-wasi03.new spin-wasi03.toml

test: lint unit api ## formatting, lints, and all tests that need only Rust and python3
	@case $$(scripts/host.sh) in spin*) $(MAKE) --no-print-directory api-on-spin ;; \
		*) echo "The tests over HTTP ran on tests/devhost only." ;; esac

test-all: test test-import test-deploy test-openapi test-browser ## make test, and the tests that need PostgreSQL, PyPI or npm

unit: ## the unit tests
	cargo test --locked -p luoyun-common -p luoyun-password -p luoyun-schema -p luoyun-values -p luoyun-admin

# Tests that measure time run after the others, and those that measure what a request costs alone.
api: test-components python ## the tests over HTTP, on devhost; with BASE_URL, on that server
ifdef BASE_URL
	BASE_URL='$(BASE_URL)' $(IT) documented:: --test-threads 1
else
	LUOYUN_HOST=devhost $(IT) $(AT_ONCE) --skip floods:: --skip devhost_only::budgets
	LUOYUN_HOST=devhost $(ON_WASI03)
	LUOYUN_HOST=devhost $(IT) floods:: --skip floods::logins
	LUOYUN_HOST=devhost LUOYUN_MANIFEST=spin-wasi03.toml $(IT) floods:: --skip floods::logins
	LUOYUN_HOST=devhost $(IT) floods::logins devhost_only::budgets --test-threads 1
endif

api-on-spin: test-components python ## the tests over HTTP, on Spin
	LUOYUN_HOST=spin $(IT) $(AT_ONCE) $(ON_ANY_HOST)
	@[ "$$(scripts/manifest.sh)" = spin.toml ] || \
		LUOYUN_HOST=spin $(ON_WASI03)

# One test at a time: one of them measures time.
test-import: devhost ## luoyun-admin import, from a temporary PostgreSQL server
	@tests/with-postgres.sh $(IT) import:: --ignored --test-threads 1 --nocapture

# One test at a time: they measure time.
test-deploy: build devhost ## deploy/ with systemd, Redis, HAProxy, sqld, PostgreSQL and, if installed, Spin
	@tests/with-postgres.sh tests/sqld/run.sh $(IT) machines:: --ignored --test-threads 1 --nocapture
	@[ "$$(scripts/host.sh)" != devhost ] || echo "Not run: the API on several machines, which needs Spin."

test-openapi: devhost python ## check devhost against api/openapi.yaml, with schemathesis
	@scripts/need.sh python3-venv python3 -c 'import ensurepip'
	@tests/with-devhost.sh tests/openapi/run.sh

test-browser: browser ## the console, in Chromium and Firefox; CHROMIUM=chromium FIREFOX=firefox-esr
	@$(BROWSER) --test tests/browser/console.test.js

screenshots: browser ## take the README's screenshots again
	@scripts/need.sh fonts-noto-cjk sh -c 'fc-list :lang=zh | grep -q .'
	@$(BROWSER) tests/browser/screenshots.js

fuzz: components ## send 50,000 mutated requests
	FUZZ_REQUESTS=50000 LUOYUN_HOST=devhost $(IT) fuzz:: --nocapture

bench: test-components devhost ## measure speed, compared with components that do less; ARGS=--quick
	@scripts/need.sh 'wrk python3' sh -ec 'command -v wrk; python3 -c "import sqlite3"'
	cargo build --profile wasi03 $(WASM) $(TEST_COMPONENTS) -F luoyun-common/wasi03
	@tests/bench.py $(ARGS)

smoke: ## check a running server with curl; BASE_URL=http://127.0.0.1:3000
	@BASE_URL='$(BASE_URL)' tests/smoke.sh

lint: wasm-target ## formatting and clippy, for native and wasm targets
	@scripts/rust-components.sh
	cargo fmt --all --check
	cargo clippy $(WASM) $(DENY)
	cargo clippy $(WASM) $(WASI03:%=-p %) -F luoyun-common/wasi03 $(DENY)
	cargo clippy $(WASM) -p luoyun-common $(TEST_COMPONENTS) $(DENY)
	cargo clippy --locked --all-targets -p luoyun-common -p luoyun-password -p luoyun-schema -p luoyun-values \
		-p devhost -p api-tests -p luoyun-admin $(DENY)

clean: ## delete all build output, but no state folders
	cargo clean
	rm -f spin-wasi03.*

wasm-target:
	@scripts/wasm-target.sh

test-components: build
	cargo build --release $(WASM) $(TEST_COMPONENTS)

browser: devhost
	@scripts/need.sh "nodejs npm" sh -c 'node --version && npm --version'
	@scripts/need.sh python3-gi /usr/bin/python3 -c "from gi.repository import GLib"
	@scripts/need.sh "chromium firefox-esr" sh -c 'command -v "$${CHROMIUM:-chromium}" && \
		command -v "$${FIREFOX:-firefox-esr}"' || { echo "Where these packages are missing, \
	as in Ubuntu, set CHROMIUM and FIREFOX to the browsers' executables." >&2; exit 1; }

devhost: components
	cargo build --locked -p devhost -p luoyun-admin

python:
	@scripts/need.sh python3 python3 -c 'import pty, termios'

.PHONY: help up admin components build test test-all unit api api-on-spin test-import test-deploy test-openapi \
	test-browser screenshots fuzz bench smoke lint clean wasm-target test-components browser \
	devhost python
