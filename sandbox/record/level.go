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
	HostPID     = "host-pid"     // no pid namespace of its own
	HostNetwork = "host-network" // no network namespace of its own
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
	{BoundProc, []string{BoundProc, BoundSys}},
	{HostPID, []string{HostPID}},
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

// Accepts reports whether a container may do without what a word of State.Level names.
// Words that are on no rung are nobody's business here.
func (s *Spec) Accepts(word string) bool {
	lowest, _ := rungsOf(s.Require)
	if lowest == "" {
		return true
	}
	for i, r := range ladder {
		if slices.Contains(r.words, word) {
			return i <= rung(lowest)
		}
	}
	return true
}

// LevelName is a level as tables show it.
func LevelName(level []string) string {
	if len(level) == 0 {
		return Full
	}
	return strings.Join(level, ",")
}
