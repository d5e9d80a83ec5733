# Sallyport: what a person types. `make help` lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help

GO      ?= go
BIN     := bin
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
TOOL    := $(GO) tool -modfile=tools/go.mod
# Only what the tests below need: two independent judges (zbarimg reads QR
# codes, oathtool makes codes), a browser, npm for the judge of its pages
# (axe-core), two proxies (the third, Caddy, is built from its module), a
# PostgreSQL server (tests start their own, throw-away ones), SQLite's shell, in
# which the manual's queries run, curl and Python's requests, with which the manual's
# programs and those of older systems call, the compiler of the race detector, and the
# load generator of `make bench`. The modules of the tests' tools and of the client
# that a test generates are fetched before too, so that no test waits for a network.
TEST_PACKAGES  := chromium zbar-tools oathtool npm nginx-light haproxy postgresql sqlite3 python3-requests curl gcc libc6-dev
BENCH_PACKAGES := wrk postgresql curl

.PHONY: help run standalone caddy test race-free lint bench fuzz screenshots deps-test deps-bench clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: standalone ## build, and start a gateway in front of a demo page: open the printed link
	$(BIN)/sallyport serve --demo

standalone: ## build bin/sallyport
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o $(BIN)/sallyport ./standalone

caddy: ## build bin/caddy: Caddy with this module, by xcaddy and the values of xcaddy.json
	scripts/caddy.sh $(BIN)/caddy

test: deps-test lint ## run every test with the race detector, the end-to-end ones on Badger and on PostgreSQL (installs what it needs on Debian)
	scripts/test.sh

lint: ## gofmt, go vet, staticcheck
	@unformatted=$$(gofmt -l $$(git ls-files '*.go' 2>/dev/null || find . -name '*.go')); \
	  if [ -n "$$unformatted" ]; then echo "not gofmt'ed:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(TOOL) staticcheck ./...

bench: deps-bench standalone caddy ## measure: guard, store, forward-auth beside a bare handler, Caddy guarded beside unguarded, programs, imports
	scripts/bench.sh
	scripts/bench-caddy.sh
	scripts/bench-programs.sh
	scripts/bench-import.sh

FUZZTIME ?= 20s
fuzz: ## fuzz every parser for FUZZTIME each (default 20s)
	scripts/fuzz.sh $(FUZZTIME)

screenshots: deps-test ## make the pictures of docs/pages.md anew
	rm -rf docs/screenshots && mkdir docs/screenshots
	SALLYPORT_SCREENSHOTS=$(CURDIR)/docs/screenshots $(GO) test -count=1 -run 'TestEveryPage|TestOwnName|TestPasskeyPages|TestAccountPages' ./standalone

deps-test: ## install what the tests need
	@scripts/need.sh $(TEST_PACKAGES)
	@scripts/axe.sh
	@$(GO) mod download && $(GO) mod download -modfile=tools/go.mod && $(GO) -C internal/web/api/testdata/client mod download

deps-bench: ## install what the benchmarks need
	@scripts/need.sh $(BENCH_PACKAGES)

clean: ## remove what was built (never a state directory)
	rm -rf $(BIN) bench/out .cache
