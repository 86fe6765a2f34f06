// Package reportcard says what a program in a container can see and do. The program in
// the container calls Take, and whoever started it under two engines compares the cards
// (Rows). It serves tests: testdata/probe is the program, testdata/report the table in
// docs/security.md, integration the check. Nothing of rootlet's is in it, so that it says
// the same under any engine.
//
// A process that imports it calls Stage first: some of what is tried takes a process of
// its own, which is this executable once more.
package reportcard

import (
	"bytes"
	"errors"
	"os"
	"strings"
)

// Card is what was found.
type Card struct {
	UID, GID int
	Groups   []int
	// IDs is the number of user ids that are mapped.
	IDs int
	// Capabilities are the names in each set, by /proc/self/status's name for it.
	Capabilities map[string][]string
	NoNewPrivs   bool
	// SeccompMode is 0 without a filter, 2 with one.
	SeccompMode, SeccompFilters int
	Securebits, Dumpable        int
	Umask, OOMScoreAdj          int
	// Limits are the hard ones, setrlimit(2).
	Limits map[string]uint64
	// Calls are the filter's verdicts, by architecture and name of the call.
	Calls map[string]map[string]string
	// Arguments are its verdicts on calls with certain arguments.
	Arguments map[string]string
	// Attempts are what the kernel said to calls that were really made.
	Attempts map[string]string
	// Descriptors are those from 3 on that were there when the program began.
	Descriptors []string
	Mounts      []Mount
	// Readable and Writable are files below /proc and /sys, but for those of processes.
	Readable, Writable []string
	Devices            []string
	// Keys are the lines of /proc/keys.
	Keys []string
	// Processes are the names of all others.
	Processes   []string
	Namespaces  map[string]string
	Environment []string
}

// Mount is a line of mountinfo. Flags are those of ro, nosuid, nodev and noexec that it has.
type Mount struct {
	Path, Type string
	Flags      []string
}

// Take fills in a card. It is refused outside a container: some of it is tried in earnest.
func Take() (*Card, error) {
	if err := inContainer(); err != nil {
		return nil, err
	}
	c := &Card{Descriptors: inherited()} // before anything else is opened
	for _, part := range []func(*Card) error{
		identity, processes, mounts, kernelFiles, devices, keys, calls, attempts,
	} {
		if err := part(c); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Glance fills in what comes down from who started the program: it takes no time.
func Glance() (*Card, error) {
	c := &Card{Descriptors: inherited()}
	return c, identity(c)
}

// inContainer looks for the one thing that all rootless engines have in common.
func inContainer() error {
	ids, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return err
	}
	if bytes.Equal(bytes.Join(bytes.Fields(ids), []byte(" ")), []byte("0 0 4294967295")) {
		return errors.New("this is the machine's own user namespace: the probe runs in a container only")
	}
	return nil
}

// stageKey is the variable that tells a process of this executable what to try.
const stageKey = "REPORTCARD_STAGE"

// Stage does what a process was started for by this package, and does not return then.
func Stage() {
	kind, what, _ := strings.Cut(os.Getenv(stageKey), " ")
	switch kind {
	case "ask":
		answer(what)
	case "attempt":
		attempt(what)
	default:
		return
	}
	os.Exit(0)
}
