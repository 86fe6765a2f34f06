# make          build the static binary ./rootlet
# make test     run every test, with all the set-up that takes (root installs it)
# make fuzz     run every fuzz target for ten minutes (FUZZ_TIME=SECONDS)
# make browser  run the tests that a browser has a part in (root installs Chromium)
# make limits   show on this host, which runs systemd, that limits hold (as an ordinary user)
# make bench    measure against podman and write docs/benchmarks.md
# make report   look from within at containers of rootlet, podman and bubblewrap, which
#               have to be installed, and write the table in docs/security.md
# make hosts    break hosts in many ways, run rootlet and podman on each, and write the
#               tables in docs/hosts.md (as root; VM_RUN=PROGRAM for those in a VM)
# make clean    remove what make built

GO ?= go

# Nothing but the commit goes into the binary, so that whoever builds a commit
# gets the same bytes: a fixed --abbrev, because git's own grows with the clone,
# and --always, because a clone may have no tags.
VERSION := $(shell git describe --always --dirty --abbrev=12 2>/dev/null || echo unknown)
COMMIT := $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
LDFLAGS := -s -w -E main.entry -X rootlet/cli.version=$(VERSION) -X rootlet/cli.commit=$(COMMIT)

# The caller's own Go settings must not change what is built.
export CGO_ENABLED := 0
export GOFLAGS :=
export GOWORK := off

.PHONY: rootlet test browser fuzz limits bench report hosts clean need-go
rootlet: need-go
	@$(GO) build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o $@ .

test: rootlet
	@.ci/test

browser: rootlet
	@.ci/browser

fuzz: FUZZ_TIME ?= 600
fuzz: need-go
	@FUZZ_TIME=$(FUZZ_TIME) FUZZ_NEAR=$(FUZZ_TIME) FUZZ_REST=$(FUZZ_TIME) FUZZ_CACHE=$${FUZZ_CACHE:-$$HOME/.cache/rootlet-fuzz} .ci/fuzz

limits: rootlet
	@bash testdata/vm/limits.sh ./rootlet

bench: rootlet
	@$(GO) run ./testdata/bench -rootlet ./rootlet

report: rootlet
	@$(GO) build -trimpath -buildvcs=false -o probe ./testdata/probe
	@$(GO) run ./testdata/report -rootlet ./rootlet -probe ./probe; status=$$?; rm -f probe; exit $$status

hosts: rootlet
	@$(GO) run ./testdata/hosts -rootlet ./rootlet

clean:
	rm -f rootlet

need-go:
	@command -v $(GO) >/dev/null || { \
	  echo "make: rootlet is built with Go 1.26 or newer, and '$(GO)' is not on PATH." >&2; \
	  echo "make: install it (https://go.dev/doc/install), or name it: make GO=/usr/local/go/bin/go" >&2; \
	  exit 1; }
