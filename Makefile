# Everything a developer runs. `make` alone lists it.
BIN      := bin
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT   ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
DATE     ?= $(shell git log -1 --format=%cI 2>/dev/null || echo unknown)
STAMP    := -X github.com/etcdops/etcdops/cmd.version=$(VERSION) -X github.com/etcdops/etcdops/cmd.commit=$(COMMIT) -X github.com/etcdops/etcdops/cmd.date=$(DATE)
BUILD    := CGO_ENABLED=0 go build -trimpath -ldflags '-s -w $(STAMP)'
TOOL     := go tool -modfile=$(CURDIR)/tools/go.mod

.PHONY: help build test race faults lint format docs docs-check bench snapshot clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

build: ## build bin/etcdops, static and stamped
	$(BUILD) -o $(BIN)/etcdops ./cmd/etcdops

test: ## all tests but the long fault suites (the command that the README names)
	go test -shuffle=on -timeout 11m ./...

# Scripts of whole commands are left out: etcdctl's code replaces gRPC's global logger while gRPC is running.
race: ## the tests of our own concurrency under the race detector
	CGO_ENABLED=1 go test -race -short -shuffle=on -timeout 15m -skip '^(TestScript|TestSameAsEtcdctl)$$' ./...

faults: ## the long fault suites: kills, pauses and partitions under load
	ETCDOPS_LONG=1 go test -shuffle=on -timeout 25m -run 'Long|Fault' ./...

lint: ## vet, golangci-lint, format and module checks
	go vet ./...
	$(TOOL) golangci-lint run ./...
	go mod tidy -diff

format: ## rewrite imports and layout
	$(TOOL) golangci-lint fmt ./...

docs: ## write the generated parts of docs/ again
	go run ./internal/docgen docs

docs-check: ## fail when a generated part of docs/ is not up to date
	go run ./internal/docgen -check docs

bench: ## measure beside upstream's programs and write docs/benchmarks.md
	go run ./bench -out docs/benchmarks.md

snapshot: ## build the archives and packages of a release without publishing them
	go tool -modfile=$(CURDIR)/tools/goreleaser/go.mod goreleaser release --snapshot --clean

clean: ## remove what the targets above built
	rm -rf $(BIN) dist
