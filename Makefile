# Everything that CI runs, and what is too long for it. `make help` lists it.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
TOOL    := go tool -modfile=tools/go.mod
FUZZTIME ?= 2m

.PHONY: help build test check lint conformance race fuzz fuzz-smoke soak soak-smoke bench clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 14

build: ## a static binary in bin/
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.buildVersion=$(VERSION)" -o bin/certscan ./cmd/certscan

test: ## the tests, as in the README
	go test ./...

check: lint race fuzz-smoke soak-smoke ## all of what CI runs besides the tests

lint: ## formatting, vet, staticcheck, dead code
	@out=$$($(TOOL) gofumpt -l -extra $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "not gofumpt'd:"; echo "$$out"; exit 1; fi
	go vet ./...
	cd tools/conformance && go vet ./... && go mod tidy -diff
	$(TOOL) staticcheck ./...
	@out=$$($(TOOL) deadcode -test ./...); if [ -n "$$out" ]; then echo "dead code:"; echo "$$out"; exit 1; fi
	go mod verify
	go mod tidy -diff

conformance: ## independent suites and our own corpora, a line for each
	./tools/conformance.sh

race: ## the tests under the race detector, in another order
	# The kill -9 rounds end other processes and not goroutines of their own:
	# they have run without the detector, which would make them take minutes.
	go test -race -shuffle=on -skip '^TestKilledScans$$' ./...

fuzz: ## every fuzz target for FUZZTIME each (default 2m)
	./tools/fuzz.sh $(FUZZTIME)

fuzz-smoke: ## every fuzz target, three minutes together
	./tools/fuzz.sh smoke

soak: ## the daemon over 10,000 endpoints that fail and come back, a quarter of an hour under the race detector
	go run ./internal/soak

soak-smoke: ## a minute of that, with fewer endpoints
	go run ./internal/soak -for 1m -endpoints 2000 -interval 40s

bench: ## speed and memory against a plain Go loop; takes some minutes
	go run ./internal/bench

clean: ## remove what was built
	rm -rf bin dist
