# xdpmux: build, demo and tests. "make help" lists the targets.

VERSION ?= 0.1.0
RELEASE ?= 1
PREFIX  ?= /usr/local
DESTDIR ?=
CONFDIR ?= /etc/xdpmux
UNITDIR ?= $(PREFIX)/lib/systemd/system
GO      ?= go
CLANG   ?= clang
# Series, paths of images, or the words of test/vm: newest, all.
KERNEL  ?=
# Of test-arm64-chosen: packets through chains of one, two and ten programs, status beside
# xdp-loader, set, replace, unload, adoption, a program without types, one that changes packets,
# stats, trace, maps, the demo, check, a socket of AF_XDP.
CHOSEN  := TestPackets|TestSet|TestKeepMaps|TestAdoptMaps|TestUntypedStaysKnown|TestMoveHead|TestStatsTable|TestTracePcap|TestMapDumpIsWhatWasSent|TestReadmeDemo|TestCheckOfProbes|TestSocket
# What is printed, planned, recorded and rehearsed, files, pages, units and the harness: the kernel
# has no part in most of it.
ONCE    := test/command test/rehearse test/history test/harness TestJSON TestOddNames \
	TestEnvironmentOfOthers TestProgress TestFullOutput TestAlternativeNames TestStatusOfMany TestTerminal \
	TestEnds TestUnit TestExporterUnit TestImages TestRoundTrip TestPage TestPictures TestTop TestTopLocales \
	TestTraceForeignCaptures TestTraceBrokenCaptures TestTraceBadCapture TestTraceOutKeepsFiles \
	TestWriteRotates TestWriteAsXdpdump TestBadInput TestBadFiles TestTrials TestSurroundings TestExporter TestRestart TestNamed TestRegistry \
	TestCountsWithoutSysAdmin
SUITES  ?= bookworm trixie sid noble
ARCHS   ?= amd64 arm64
MUTANTS ?= 20000
SEEDS   ?= 1 2 3
# A count: on a busy machine the fuzzer fails with "context deadline exceeded" when a time is up.
FUZZTIME ?= 50000x

# Without cli's own writer of man pages, whose parser costs each start a millisecond.
TAGS = urfave_cli_no_docs

# make GOARCH=arm64 builds for another architecture than this machine's, with libraries and a
# compiler that need no installation: build/cross fetches them.
ifneq ($(filter-out $(shell env -u GOARCH $(GO) env GOARCH),$(GOARCH)),)
BUILD    := build/$(GOARCH)
CROSS    := $(CURDIR)/build/cross
CROSSRUN := $(CROSS) $(GOARCH)
LINK     := static
else
BUILD    := build
endif

# Without shared libraries the command starts in half the time, and runs anywhere.
# LINK=dynamic is for distributions; without a word static is tried first, and build/link
# keeps what came out. Asked where something is linked, not each time that make is started.
LINK      ?= $(or $(shell cgo/link.sh build/link),$(error cgo/link.sh failed))
, := ,
STATIC     = $(filter static,$(LINK))
STATICTAGS = $(TAGS),static,netgo,osusergo
BUILDTAGS  = $(if $(STATIC),$(STATICTAGS),$(TAGS))
# libpcap looks up the names of a filter, of which GNU ld would warn each time; lld doesn't.
EXTLD      = $(if $(STATIC),-extldflags "-static$(if $(CROSS),, -Wl$(,)--no-warnings)")

LIBXDP_VERSION = $(shell $(CROSSRUN) pkg-config --modversion libxdp)
LDFLAGS = -X github.com/xdpmux/xdpmux/cmd/internal/output.version=$(VERSION) -X github.com/xdpmux/xdpmux/cgo/libxdp.BuildVersion=$(LIBXDP_VERSION) \
	-X github.com/xdpmux/xdpmux/cgo/libxdp.ObjectDir=$(shell $(CROSSRUN) pkg-config --variable=libdir libxdp)/bpf
GOSRC  := $(shell find bpf cgo cmd dispatcher -name '*.go' -o -name '*.[ch]' -o -name '*.json' -o -path '*/completion/*' -o -path 'bpf/objects/*.o') go.mod go.sum

# Debian and Ubuntu keep asm/types.h in a directory of the architecture.
MULTIARCH := $(shell gcc -print-multiarch 2>/dev/null)
# No directory of this machine is to be in the object.
BPFFLAGS   = -O2 -g -Wall -Werror -fdebug-compilation-dir=. -target bpf $(if $(MULTIARCH),-I/usr/include/$(MULTIARCH))
BPFOBJ    := $(patsubst bpf/samples/%.bpf.c,build/bpf/%.o,$(wildcard bpf/samples/*.bpf.c))
FIXTURES  := $(patsubst bpf/%.bpf.c,build/bpf/%.o,$(wildcard bpf/fixtures/*.bpf.c)) build/bpf/fixtures/bigendian.o build/bpf/fixtures/noext.o \
	$(foreach v,1 4,build/bpf/fixtures/dispatcher-$(v).o) $(BUILD)/module/watch
EXAMPLES  := $(patsubst examples/%/main.go,$(BUILD)/examples/%,$(wildcard examples/*/main.go))
UNITS     := xdpmux-apply.service xdpmux-agent.service xdpmux-exporter.service

# FILE:PLACE, what install puts where below PREFIX. The man page is what the built command says,
# which runs on its own architecture alone: another one's takes that of NATIVE.
NATIVE   ?= $(if $(CROSS),build,$(BUILD))
MANPAGE  := $(NATIVE)/man/xdpmux.8
PROGRAMS := $(BUILD)/xdpmux:bin/xdpmux \
	$(foreach name,xdpmux-observe xdpmux-agent xdpmux-image,$(BUILD)/$(name):libexec/xdpmux/$(name))
DATA     := $(MANPAGE):share/man/man8/xdpmux.8 \
	cmd/xdpmux/completion/bash:share/bash-completion/completions/xdpmux \
	cmd/xdpmux/completion/zsh:share/zsh/site-functions/_xdpmux \
	cmd/xdpmux/completion/fish:share/fish/vendor_completions.d/xdpmux.fish \
	$(foreach object,$(BPFOBJ),$(object):lib/xdpmux/bpf/$(notdir $(object)))
built     = $(foreach pair,$(1),$(firstword $(subst :, ,$(pair))))
placed    = $(foreach pair,$(1),$(DESTDIR)$(PREFIX)/$(lastword $(subst :, ,$(pair))))

.DELETE_ON_ERROR:
.PHONY: build kube installed fixtures static deps demo test test-unit test-vm test-full test-agent-full test-agent-hour test-arm64 test-arm64-chosen test-matrix test-drivers test-distributions test-packages test-cosign test-race test-fleet test-native test-mutants fuzz bench bench-fleet picture generate lint man install uninstall packages clean help

build: installed $(EXAMPLES) ## build build/xdpmux, its man page, build/bpf/*.o and build/examples/*; GOARCH=arm64: into build/arm64

# What install installs.
installed: $(call built,$(PROGRAMS)) $(if $(CROSS),,$(MANPAGE)) $(BPFOBJ)

fixtures: $(FIXTURES)

static: ## build, and fail where no static link succeeds
	@$(MAKE) --no-print-directory LINK=static build

# The command that everybody starts goes without the libraries of stats, top, trace, agent and image, for
# which it runs the others.
$(call built,$(PROGRAMS)): $(BUILD)/%: $(GOSRC) $(CROSS)
	$(CROSSRUN) $(GO) build -tags '$(BUILDTAGS)' -ldflags '$(LDFLAGS) $(EXTLD)' -o $@ ./cmd/$*

build/bpf/%.o: bpf/samples/%.bpf.c
	@mkdir -p $(@D)
	$(CLANG) $(BPFFLAGS) -c $< -o $@

build/bpf/fixtures/%.o: bpf/fixtures/%.bpf.c
	@mkdir -p $(@D)
	$(CLANG) $(BPFFLAGS) -c $< -o $@

build/bpf/fixtures/keepmaps_next.o: bpf/fixtures/keepmaps.bpf.c
build/bpf/fixtures/filtered.o: bpf/probe/filter.h

# For the tests: the byte order of another machine.
build/bpf/fixtures/bigendian.o: bpf/samples/xdp_pass.bpf.c
	@mkdir -p $(@D)
	$(CLANG) $(subst -target bpf,-target bpfeb,$(BPFFLAGS)) -c $< -o $@

build/bpf/fixtures/nobtf.o build/bpf/fixtures/nobtf_calls.o: BPFFLAGS := $(filter-out -g,$(BPFFLAGS))

# For the tests: types, of which none is said to be a function's.
build/bpf/fixtures/noext.o: bpf/fixtures/nobtf_calls.bpf.c
	@mkdir -p $(@D)
	$(CLANG) $(BPFFLAGS) -c $< -o $@
	llvm-objcopy --remove-section .BTF.ext --remove-section .rel.BTF.ext $@

$(BUILD)/examples/%: examples/%/main.go $(wildcard examples/*/*.o) $(GOSRC) $(CROSS)
	$(CROSSRUN) $(GO) build -tags '$(TAGS)' -o $@ ./$(<D)

$(BUILD)/module/%: examples/%/main.go test/module.sh $(GOSRC) $(CROSS)
	GO='$(CROSSRUN) $(GO)' test/module.sh $@

$(CURDIR)/build/cross: $(wildcard test/cross/*.go test/debian/*.go)
	env -u GOARCH $(GO) build -o $@ ./test/cross

# Chains of versions of which no distribution has the libxdp.
build/bpf/fixtures/dispatcher-%.o: bpf/fixtures/dispatcher.c
	@mkdir -p $(@D)
	$(CLANG) $(BPFFLAGS) -DVERSION=$* -c $< -o $@

deps: ## install what build, demo and test need, through apt or dnf
	test/deps.sh

demo: ## several programs on one interface, with real packets
	@test/deps.sh
	@$(MAKE) --no-print-directory --silent build
	@test/demo.sh

test: test-unit test-vm ## unit tests here, integration tests in VMs with each KERNEL (all of the distribution), side by side

test-unit: build $(FIXTURES)
	$(GO) test ./...
	$(GO) test -C packaging/tools ./...

test-vm: build $(FIXTURES)
	$(GO) run ./test/vm -kernel '$(or $(KERNEL),all)' -timeout 50m -once '$(ONCE)'
	$(GO) run ./test/vm -kernel '$(or $(KERNEL),newest)' -smp 4 -run 'CPUMap|TestBusy|TestProcessors|TestWriteFlood' ./test/foreground ./test/observe

test-full: build $(FIXTURES) ## test-vm with each repetition as often as it is worth: hours
	XDPMUX_TEST_SCALE=1 $(GO) run ./test/vm -kernel '$(or $(KERNEL),all)' -timeout 6h

# 1,000 events of interfaces, files and native tools under flood, and 100 kills.
test-agent-full: build $(FIXTURES) ## what make test does some times to the agent, as often as it is worth, on KERNEL (6.12): five minutes
	XDPMUX_TEST_SCALE=1 $(GO) run ./test/vm -kernel '$(or $(KERNEL),6.12)' -native '' -timeout 1h -run '^(TestChurn|TestRestart)$$' ./test/agent

# 24 hours of what happens to a busy machine.
test-agent-hour: build $(FIXTURES) ## an hour of interfaces, files and native tools that come and go, on KERNEL (6.12): the agent's memory and descriptors stay level
	XDPMUX_TEST_FOR=$(or $(LASTING),1h) $(GO) run ./test/vm -kernel '$(or $(KERNEL),6.12)' -native '' -timeout 2h -run '^TestChurn$$' ./test/agent

test-arm64: ## the integration tests on emulated arm64 machines, for each KERNEL (6.1 6.12)
	$(MAKE) GOARCH=arm64 build fixtures
	$(GO) run ./test/vm -arch arm64 -kernel '$(or $(KERNEL),all)' -timeout 2h

# Without the examples, without the native tools of other suites, and with the tags of the
# commands, so that no package is compiled twice: a first run has to fetch and compile all.
test-arm64-chosen: $(BPFOBJ) $(filter %.o,$(FIXTURES)) ## the twelve tests of CHOSEN on an emulated arm64 machine, in three minutes
	$(MAKE) GOARCH=arm64 build/arm64/xdpmux build/arm64/xdpmux-observe
	GOFLAGS='-tags=$(STATICTAGS)' $(GO) run ./test/vm -arch arm64 -kernel '$(or $(KERNEL),6.12)' -native '' -run '^($(CHOSEN))$$' \
		./test/transaction ./test/observe ./test/command ./test/faults ./cgo/libxdp

test-matrix: build $(FIXTURES) build/xdpmux-shared ## native tools of each libxdp beside ours, on each KERNEL (6.1 6.12 7.2); writes docs/compatibility.md
	$(GO) run ./test/matrix '$(or $(KERNEL),6.1 6.12 7.2)' docs/compatibility.md
	rm build/xdpmux-shared

test-drivers: build $(FIXTURES) ## chains on emulated cards, a tap, a bond and VLANs, on each KERNEL (6.1 6.12 7.2), held to docs/drivers.md
	$(GO) run ./test/vm -kernel '$(or $(KERNEL),6.1 6.12 7.2)' -native '' ./test/drivers

# For the tests: with the libraries of whichever system it runs on.
build/xdpmux-shared: $(GOSRC)
	$(GO) build -tags '$(TAGS)' -ldflags '$(LDFLAGS)' -o $@ ./cmd/xdpmux

test-distributions: ## build, demo and test-unit in a fresh root of each suite of SUITES (Debian, Ubuntu), as root
	test/distributions.sh $(SUITES)

# lintian, of which an error fails; then VMs with Debian 12 and 13; then two builds.
test-packages: build ## check the packages, install, upgrade and remove them in Debian roots in VMs, build them twice and compare, as root
	$(MAKE) --no-print-directory packages
	lintian --fail-on error,warning build/packages/*_$(VERSION)-$(RELEASE)_*.deb
	test/packages/packages.sh bookworm:6.1 trixie:6.12
	test/packages/reproducible.sh $(ARCHS)

test-cosign: ## images signed by cosign 2 and 3, which are built for that, in twenty minutes
	cd /tmp && GOBIN=$(CURDIR)/build/cosign/2 $(GO) install github.com/sigstore/cosign/v2/cmd/cosign@v2.6.1
	cd /tmp && GOBIN=$(CURDIR)/build/cosign/3 $(GO) install github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3
	XDPMUX_COSIGN=$(CURDIR)/build/cosign $(GO) test -count=1 -tags cosign -run TestCosign ./dispatcher/registry

# Without cx16, as qemu 7.2 loses flags where an interrupt follows a cmpxchg16b, which ends the kernel.
.PHONY: test-agent-many
test-agent-many: build $(FIXTURES) ## the agent on a host with up to 1,000 interfaces that come and go, on KERNEL (newest), in a VM of 10^9 instructions a second
	XDPMUX_TEST_SCALE=1 XDPMUX_TEST_CLOCK=instructions $(GO) run ./test/vm -kernel '$(or $(KERNEL),newest)' -qemu '-icount shift=0,sleep=off -cpu max,-cx16' -timeout 1h -run '^TestMany$$' ./test/agent

test-race: build $(FIXTURES) ## observers come and go 500 times under the race detector, in a VM
	GOFLAGS=-race XDPMUX_TEST_SCALE=1 $(GO) run ./test/vm -run TestOpenClose ./test/observe

test-native: build $(FIXTURES) ## the integration tests on the running kernel, as root, without a VM
	XDPMUX_KERNEL_TESTS=1 XDPMUX=$(CURDIR)/build/xdpmux $(GO) test -count=1 -p 1 ./...

# A module of its own, as client-go alone takes longer to compile than all else.
$(BUILD)/xdpmux-kube: $(GOSRC)
	$(CROSSRUN) $(GO) build -C cmd/xdpmux-kube -tags '$(BUILDTAGS)' -ldflags '$(LDFLAGS) $(EXTLD)' -o $(CURDIR)/$@ .

kube: $(BUILD)/xdpmux-kube ## build build/xdpmux-kube, which Containerfile puts into an image

# Built once: it takes 7 minutes of a processor.
KUBE_APISERVER ?= build/kube-apiserver
build/kube-apiserver: test/fleet/go.mod
	$(GO) build -C test/fleet -ldflags '-s -w -X k8s.io/component-base/version.gitVersion=v1.37.2' -o $(CURDIR)/$@ k8s.io/kubernetes/cmd/kube-apiserver

# It needs etcd (Debian: etcd-server) and kubectl; buildah and root for the image, root for the agent that meets bad images.
test-fleet: $(KUBE_APISERVER) build kube $(FIXTURES) ## roll-outs on a cluster: a real API server and etcd, nodes whose kernel only remembers, and three in VMs
	$(GO) vet -C dispatcher/agent/kube ./...
	$(GO) vet -C cmd/xdpmux-kube ./...
	$(GO) vet -C test/fleet ./...
	$(GO) test -C dispatcher/agent/kube ./...
	KUBE_APISERVER=$(abspath $(KUBE_APISERVER)) $(GO) test -C test/fleet -count=1 ./...

bench-fleet: $(KUBE_APISERVER) kube ## what roll-outs take on 10, 100 and 1000 nodes, and what nodes ask at rest
	KUBE_APISERVER=$(abspath $(KUBE_APISERVER)) XDPMUX_FLEET_SIZES='10 100 1000' XDPMUX_FLEET_REST=720 $(GO) test -C test/fleet -count=1 -v -timeout 2h -run '^TestScale$$' .

# A thousand of one seed are part of test-unit.
test-mutants: build $(FIXTURES) ## read MUTANTS damaged object files of each seed of SEEDS
	$(foreach s,$(SEEDS),XDPMUX_TEST_SEED=$(s) XDPMUX_TEST_MUTANTS=$(MUTANTS) $(GO) test -count=1 -v -run '^TestMutants$$' ./dispatcher &&) true

fuzz: build $(FIXTURES) ## go test -fuzz, FUZZTIME inputs for each decoder of what comes from outside
	GO='$(GO)' test/fuzz.sh $(FUZZTIME)

bench: build ## measure beside the native tools, as root; writes docs/benchmarks.md
	$(GO) build -ldflags '$(LDFLAGS)' -o build/bench ./test/bench
	PATH=$(CURDIR)/build:$$PATH build/bench docs/benchmarks.md

picture: build ## draw the picture of README, of a chain at work in a VM
	test/picture.sh >build/chain.svg && mv build/chain.svg docs/

# Committed: a Go program that requires this module has no make.
generate: ## compile the embedded BPF objects anew, into bpf/objects
	CLANG='$(CLANG)' bpf/generate.sh

lint: ## gofmt, go vet, staticcheck, govulncheck; that make generate changes nothing
	@test -z "$$(gofmt -l .)" || { gofmt -l . | sed 's/$$/: not gofmt-ed/'; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	CLANG='$(CLANG)' bpf/generate.sh --check
	$(GO) vet -C packaging/tools ./...
	GO='$(GO)' test/vulncheck.sh

man: $(MANPAGE) ## build the man page, from what --help says

ifndef CROSS
$(MANPAGE): $(BUILD)/xdpmux
	@mkdir -p $(@D)
	$(BUILD)/xdpmux man >$@
endif

# It builds nothing, so that root needs no Go: make build && sudo make install
install: ## install below PREFIX (and DESTDIR) what make build has built
	@for f in $(call built,$(PROGRAMS) $(DATA)); do \
		test -f $$f || { echo "install: $$f is missing: run make build first" >&2; exit 1; }; done
	set -e; for item in $(PROGRAMS:%=0755:%) $(DATA:%=0644:%); do \
		pair=$${item#*:}; install -D -m $${item%%:*} $${pair%:*} $(DESTDIR)$(PREFIX)/$${pair#*:}; done
	install -d $(DESTDIR)$(UNITDIR) $(DESTDIR)$(CONFDIR)
	for unit in $(UNITS); do \
		sed -e 's|@BINDIR@|$(PREFIX)/bin|' -e 's|@CONFDIR@|$(CONFDIR)|' systemd/$$unit.in >$(DESTDIR)$(UNITDIR)/$$unit && \
		chmod 0644 $(DESTDIR)$(UNITDIR)/$$unit || exit; done

uninstall: ## remove what install has put there, but no file of CONFDIR
	rm -f $(call placed,$(PROGRAMS) $(DATA)) $(UNITS:%=$(DESTDIR)$(UNITDIR)/%)
	for dir in libexec/xdpmux lib/xdpmux/bpf lib/xdpmux; do \
		[ ! -d $(DESTDIR)$(PREFIX)/$$dir ] || rmdir --ignore-fail-on-non-empty $(DESTDIR)$(PREFIX)/$$dir || exit; done

packages: ## build .deb and .rpm of each of ARCHS (amd64 arm64) into build/packages, with an SBOM
	GO='$(GO)' packaging/build.sh '$(VERSION)' '$(RELEASE)' $(ARCHS)

clean: ## remove what make has built
	rm -rf build

help:
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 20
