package record

import (
	"fmt"
	"slices"
	"strings"
)

// Full is a container that has all that rootlet gives on a host that refuses nothing.
const Full = "full"

// What a container does without where the host refuses it: the words of State.Level,
// which is empty where nothing is. docs/nested.md has a row for each.
const (
	BoundProc   = "bound-proc"   // /proc is the one outside, read-only: the kernel mounts no new one
	BoundSys    = "bound-sys"    // /sys likewise
	HostCgroup  = "host-cgroup"  // no cgroup namespace of its own: it sees where its cgroup is
	HostUTS     = "host-uts"     // no host name of its own: it has the one outside
	HostPID     = "host-pid"     // no pid namespace: it sees and can signal the user's processes outside
	HostIPC     = "host-ipc"     // no IPC namespace: it has the message queues of outside
	HostNetwork = "host-network" // no network namespace: it has the network of outside
)

// What a container with one id has in the place of others: words of State.Level that are on
// no rung.
const (
	RootEmulation   = "root-emulation"   // calls that change owners and ids are answered by rootlet
	ZeroConsistency = "zero-consistency" // and nothing remembers what they said
)

// ladder has the rungs from the highest down, with the words of State.Level that
// belong to each. A container stands as low as the lowest that it has a word of.
var ladder = []struct {
	name  string
	words []string
}{
	{Full, nil},
	{BoundProc, []string{BoundProc, BoundSys, HostCgroup, HostUTS}},
	{HostPID, []string{HostPID, HostIPC}},
	{HostNetwork, []string{HostNetwork}},
}

// What --require can insist on besides a rung.
const (
	RequireLimits = "limits" // the kernel enforces every limit that was asked for
	RequireIDs    = "ids"    // real subordinate ids, and no root emulation
)

// Requirements are the words that --require knows.
func Requirements() []string {
	var words []string
	for _, rung := range ladder {
		words = append(words, rung.name)
	}
	return append(words, RequireLimits, RequireIDs)
}

// ParseRequire reads the values of --require, each of which may be a list with commas.
func ParseRequire(values []string) ([]string, error) {
	var words []string
	for _, value := range values {
		for word := range strings.SplitSeq(value, ",") {
			switch word = strings.TrimSpace(word); {
			case !slices.Contains(Requirements(), word):
				return nil, fmt.Errorf("--require %q: rootlet knows %s", word, strings.Join(Requirements(), ", "))
			case !slices.Contains(words, word):
				words = append(words, word)
			}
		}
	}
	if first, second := rungsOf(words); second != "" {
		return nil, fmt.Errorf("conflicting options: --require %s and %s: name the lowest that will do", first, second)
	}
	return words, nil
}

// rungsOf are the first two rungs among words.
func rungsOf(words []string) (first, second string) {
	for _, word := range words {
		switch {
		case rung(word) < 0:
		case first == "":
			first = word
		case second == "":
			second = word
		}
	}
	return first, second
}

// rung is the place of a rung by its name, the highest being 0; -1: it is none.
func rung(name string) int {
	for i, r := range ladder {
		if r.name == name {
			return i
		}
	}
	return -1
}

// Requires reports whether --require has a word.
func (s *Spec) Requires(word string) bool { return slices.Contains(s.Require, word) }

// RequiredRung is the rung that --require names; empty: none.
func (s *Spec) RequiredRung() string {
	rung, _ := rungsOf(s.Require)
	return rung
}

// Accepts reports whether a container may do without what a word of State.Level names.
// Words that are on no rung are nobody's business here.
func (s *Spec) Accepts(word string) bool {
	lowest := s.RequiredRung()
	switch {
	case lowest != "":
	case s.Sandbox:
		lowest = Full // whoever trusts nobody says himself what he can do without
	default:
		return true
	}
	for i, r := range ladder {
		if slices.Contains(r.words, word) {
			return i <= rung(lowest)
		}
	}
	return true
}

// RungOf is the highest rung that takes a container without what a word names.
func RungOf(word string) string {
	for _, r := range ladder {
		if slices.Contains(r.words, word) {
			return r.name
		}
	}
	return Full
}

// WithWord adds a word to a level, in the order of the ladder; words of no rung come last.
func WithWord(level []string, word string) []string {
	if slices.Contains(level, word) {
		return level
	}
	level = append(level, word)
	slices.SortStableFunc(level, func(a, b string) int { return place(a) - place(b) })
	return level
}

// place is where a word stands on the ladder.
func place(word string) int {
	n := 0
	for _, r := range ladder {
		for _, w := range r.words {
			if w == word {
				return n
			}
			n++
		}
	}
	return n
}

// LevelName is a level as tables show it.
func LevelName(level []string) string {
	if len(level) == 0 {
		return Full
	}
	return strings.Join(level, ",")
}
