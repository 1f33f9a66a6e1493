# Everything a developer runs. `make` alone lists it.
BIN      := bin
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT   ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
DATE     ?= $(shell git log -1 --format=%cI 2>/dev/null || echo unknown)
STAMP    := -X github.com/etcdops/etcdops/cmd.version=$(VERSION) -X github.com/etcdops/etcdops/cmd.commit=$(COMMIT) -X github.com/etcdops/etcdops/cmd.date=$(DATE)
BUILD    := CGO_ENABLED=0 go build -trimpath -ldflags '-s -w $(STAMP)'
TOOL     := go tool -modfile=$(CURDIR)/tools/go.mod

.PHONY: help build test race faults lint format docs docs-check bench package-files image snapshot snapshot-check packages-check vulncheck clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

build: ## build bin/etcdops, static and stamped
	$(BUILD) -o $(BIN)/etcdops ./cmd/etcdops

test: ## all tests but the long fault suites (the command that the README names)
	go test -shuffle=on -timeout 11m ./...

# Scripts of whole commands are left out: etcdctl's code replaces gRPC's global logger while gRPC is running; so are rounds of
# kills that go over the same code again and again.
race: ## the tests of our own concurrency under the race detector
	CGO_ENABLED=1 go test -race -short -shuffle=on -timeout 15m -skip '^(TestScript|TestSameAsEtcdctl|TestLoadKill|TestRebuildKilled)$$' ./...

# Only packages that have such tests: linking the others' takes minutes.
FAULTS = $(shell grep -rlE --include='*_test.go' --exclude-dir=build '^func Test[A-Za-z0-9_]*(Long|Fault)' . | xargs -n 1 dirname | sort -u)
faults: ## the long fault suites: kills, pauses and partitions under load
	ETCDOPS_LONG=1 go test -shuffle=on -timeout 25m -run 'Long|Fault' $(FAULTS)

lint: ## vet, golangci-lint, format and module checks
	go vet ./...
	$(TOOL) golangci-lint run ./...
	go mod tidy -diff
	go tool -modfile=$(CURDIR)/tools/actionlint/go.mod actionlint -no-color

vulncheck: ## look for known vulnerabilities in what the program calls (needs vuln.go.dev)
	$(TOOL) govulncheck ./...

format: ## rewrite imports and layout
	$(TOOL) golangci-lint fmt ./...

docs: ## write the generated parts of docs/ again
	go run ./internal/docgen docs

docs-check: ## fail when a generated part of docs/ is not up to date
	go run ./internal/docgen -check docs

bench: ## measure beside upstream's programs and write docs/benchmarks.md
	go run ./bench -out docs/benchmarks.md

PACKAGE  := build/package
UPSTREAM := etcd etcdctl etcdutl
# the names that the program answers to; made here, because not every copy of a tree keeps links
package-files: ## write the manual pages, completions and scripts that packages carry
	rm -rf $(PACKAGE) && mkdir -p $(PACKAGE)/man $(PACKAGE)/completions $(PACKAGE)/scripts $(PACKAGE)/links $(PACKAGE)/links-windows
	for name in $(UPSTREAM); do ln -s etcdops $(PACKAGE)/links/$$name; done
	for name in $(UPSTREAM); do printf '@"%%~dp0etcdops.exe" %s %%*\r\n' $$name > $(PACKAGE)/links-windows/$$name.cmd; done
	cp packaging/scripts/*.sh $(PACKAGE)/scripts/
	$(BUILD) -o $(PACKAGE)/etcdops ./cmd/etcdops
	$(PACKAGE)/etcdops generate man $(PACKAGE)/man
	gzip -9n $(PACKAGE)/man/*.1
	$(PACKAGE)/etcdops completion bash > $(PACKAGE)/completions/etcdops.bash
	$(PACKAGE)/etcdops completion zsh > $(PACKAGE)/completions/_etcdops
	$(PACKAGE)/etcdops completion fish > $(PACKAGE)/completions/etcdops.fish
	$(PACKAGE)/etcdops completion powershell > $(PACKAGE)/completions/etcdops.ps1
	rm $(PACKAGE)/etcdops
	$(if $(filter unknown,$(DATE)),,find $(PACKAGE) -type f -exec touch --date=$(DATE) {} +)

IMAGE := etcdops
CA    ?= /etc/ssl/certs/ca-certificates.crt
image: ## build the container image $(IMAGE), from nothing but this tree and the machine's public authorities
	rm -rf build/image && mkdir -p build/image/rootfs/usr/local/bin build/image/rootfs/etc/ssl/certs build/image/rootfs/tmp build/image/data
	$(BUILD) -o build/image/rootfs/usr/local/bin/etcdops ./cmd/etcdops
	for name in $(UPSTREAM); do ln -s etcdops build/image/rootfs/usr/local/bin/$$name; done
	cp packaging/image/passwd packaging/image/group build/image/rootfs/etc/
	cp $(CA) build/image/rootfs/etc/ssl/certs/ca-certificates.crt
	chmod 1777 build/image/rootfs/tmp && chmod 0700 build/image/data
	docker build --quiet $(if $(PLATFORM),--platform $(PLATFORM)) --build-arg VERSION=$(VERSION) --build-arg COMMIT=$(COMMIT) --tag $(IMAGE) --file Dockerfile build/image

GORELEASER := go tool -modfile=$(CURDIR)/tools/goreleaser/go.mod goreleaser
snapshot: ## build the archives and packages of all platforms as a release does, without publishing, signing or bills of materials
	$(GORELEASER) release --snapshot --clean --skip=sbom,sign

snapshot-check: snapshot ## make the snapshot and look at what is in dist/: archives, names, pages, packages, sums, the cask
	ETCDOPS_PACKAGES=all go test -count=1 -v -run '$(DIST_TESTS)' ./packaging

DIST_TESTS := ^Test(Archives|ReleaseFiles|Cask)$$
packages-check: ## build this platform's packages twice, compare every byte, install them in roots of their own, render the chart
	mkdir -p build
	go build -modfile=$(CURDIR)/tools/goreleaser/go.mod -o build/goreleaser github.com/goreleaser/goreleaser/v2
	GORELEASER=$(CURDIR)/build/goreleaser packaging/check.sh
	ETCDOPS_PACKAGES=1 go test -count=1 -v -run '^Test((Debian|RPM|Alpine)Package|HelmChart)$$|$(DIST_TESTS)' ./packaging

clean: ## remove what the targets above built
	rm -rf $(BIN) build dist
