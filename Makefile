# make up and make test do all the set-up; `make` alone lists the targets.

TEST_COMPONENTS := -p empty -p bare
WASM := --locked --target wasm32-wasip1
IT := cargo test --locked -p api-tests --test it --
BROWSER := EXTRA_SQL=tests/browser/fixtures.sql tests/with-devhost.sh tests/browser/run.sh

.DEFAULT_GOAL := help

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

up: build ## serve the API; LISTEN=127.0.0.1:3000 STATE_DIR=.spin DEMO=1
	@{ command -v spin >/dev/null && [ "$$LUOYUN_HOST" != devhost ]; } || \
		cargo build --locked -p devhost
	@scripts/serve.sh

admin: ## build target/debug/luoyun-admin
	cargo build --locked -p luoyun-admin

build: wasm-target ## build the components
	cargo build --release $(WASM)

test: lint unit api ## formatting, lints, and all tests that need only Rust and python3
	@if command -v spin >/dev/null; then $(MAKE) --no-print-directory api-on-spin; \
		else echo "The tests over HTTP ran on tests/devhost only: there is no spin on PATH."; fi

test-all: test test-import test-deploy test-openapi test-browser ## make test, and the tests that need PostgreSQL, PyPI or npm

unit: ## the unit tests
	cargo test --locked -p luoyun-common -p luoyun-password -p login -p luoyun-admin

# Tests that measure time run alone.
api: test-components python ## the tests over HTTP, on devhost; with BASE_URL, on that server
ifdef BASE_URL
	$(IT) documented:: --test-threads 1
else
	$(IT) --skip speed::
	$(IT) speed:: --test-threads 1
endif

api-on-spin: test-components python ## the tests over HTTP, on Spin
	LUOYUN_HOST=spin $(IT) documented:: contract:: framing:: sessions:: passwords:: faults:: \
		openapi:: console:: storage:: admin::

# One test at a time: one of them measures time.
test-import: devhost ## luoyun-admin import, from a temporary PostgreSQL server
	@tests/with-postgres.sh $(IT) import:: --ignored --test-threads 1 --nocapture

# One test at a time: they measure time.
test-deploy: devhost ## deploy/ with Redis, HAProxy, sqld, PostgreSQL and, if installed, Spin
	@tests/with-postgres.sh tests/sqld/run.sh $(IT) machines:: --ignored --test-threads 1 --nocapture

test-openapi: devhost python ## check devhost against api/openapi.yaml, with schemathesis
	@scripts/need.sh python3-venv python3 -c 'import ensurepip'
	@tests/with-devhost.sh tests/openapi/run.sh

test-browser: browser ## the console, in Chromium and Firefox
	@$(BROWSER) --test tests/browser/console.test.js

screenshots: browser ## take the README's screenshots again
	@scripts/need.sh fonts-noto-cjk sh -c 'fc-list :lang=zh | grep -q .'
	@$(BROWSER) tests/browser/screenshots.js

fuzz: build ## send 50,000 mutated requests
	FUZZ_REQUESTS=50000 $(IT) fuzz:: --nocapture

bench: test-components ## measure speed, compared with components that do less; ARGS=--quick
	cargo build --locked -p devhost -p luoyun-admin -p bench
	@if command -v spin >/dev/null && [ "$$LUOYUN_HOST" != devhost ]; then \
		export LUOYUN_HOST=spin; fi; target/debug/bench $(ARGS)

smoke: ## check a running server with curl; BASE_URL=http://127.0.0.1:3000
	@tests/smoke.sh

lint: wasm-target ## formatting and clippy, for native and wasm targets
	cargo fmt --all --check
	cargo clippy $(WASM) -- -D warnings
	cargo clippy $(WASM) -p luoyun-common $(TEST_COMPONENTS) -- -D warnings
	cargo clippy --locked --all-targets -p luoyun-common -p luoyun-password -p luoyun-status \
		-p login -p devhost -p api-tests -p bench -p luoyun-admin -- -D warnings

clean: ## delete all build output, but no state folders
	cargo clean

wasm-target:
	@scripts/wasm-target.sh

test-components: build
	cargo build --release $(WASM) $(TEST_COMPONENTS)

browser: devhost
	@scripts/need.sh "nodejs npm python3-gi" sh -c 'node --version && npm --version && \
		/usr/bin/python3 -c "from gi.repository import GLib"'
	@scripts/need.sh "chromium firefox-esr" sh -c 'command -v "$${CHROMIUM:-chromium}" && \
		command -v "$${FIREFOX:-firefox-esr}"' || { echo "Where these packages are missing, \
	as in Ubuntu, set CHROMIUM and FIREFOX to the browsers' executables." >&2; exit 1; }

devhost: build
	cargo build --locked -p devhost -p luoyun-admin

python:
	@scripts/need.sh python3 python3 -c 'import pty, termios'

.PHONY: help up admin build test test-all unit api api-on-spin test-import test-deploy test-openapi \
	test-browser screenshots fuzz bench smoke lint clean wasm-target test-components browser \
	devhost python
