package integration

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"rootlet/internal/testenv"
)

// escape is a way out of a container that others had, tried on rootlet. That it fails is
// what its function finds out: it reports whatever else comes of it. That nothing outside
// has changed is looked at after each (escapeStage.play).
type escape struct {
	row    string // of the list of threats, by number
	cve    string // where others had it
	what   string
	result string
	rounds int // how often a race is run; 0 is no race
	try    func(*escapeStage)
}

// rounds is how often each race is run, at least.
const rounds = 500

func escapes() []escape {
	return slices.Concat(
		descriptorEscapes(), executableEscapes(), devEscapes(), mountEscapes(), identityEscapes(),
		settingEscapes(), terminalEscapes(), kernelEscapes(), maskEscapes(), processEscapes(),
		fileEscapes(), copyEscapes(), hostEscapes(), emulationEscapes(),
	)
}

// name is short and, with the number before it, the only one.
func (e escape) name() string {
	words := strings.FieldsFunc(e.what, func(r rune) bool { return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-') })
	return strings.Join(words[:min(len(words), 6)], "-")
}

// TestEscapes tries to get out, or hold of what is outside. Races take their time, and are
// run for one user.
func TestEscapes(t *testing.T) {
	testenv.NeedUser(t)
	t.Cleanup(testenv.Snapshot(t, runtimeBase(t)).Check) // after the stages are gone
	all := escapes()
	next := make(chan int)
	var players sync.WaitGroup
	for range 2 * stages {
		s := newEscapeStage(t)
		players.Go(func() {
			for i := range next {
				t.Run(fmt.Sprintf("%d-%s", i+1, all[i].name()), func(t *testing.T) { s.play(t, all[i]) })
			}
		})
	}
	// The long ones first, or the last of them would be run alone.
	for _, long := range []bool{true, false} {
		for i := range all {
			if (all[i].rounds > 0) == long {
				next <- i
			}
		}
	}
	close(next)
	players.Wait()
	if !t.Failed() {
		testenv.Golden(t, "../../docs/escapes.md", escapeTable(all))
	}
}

// escapeTable is docs/escapes.md.
func escapeTable(all []escape) string {
	races, rows, of := 0, new(strings.Builder), map[string]bool{}
	for i, e := range all {
		tries := "1"
		if e.rounds > 0 {
			races++
			tries = fmt.Sprint(e.rounds)
		}
		for row := range strings.SplitSeq(e.row, ", ") {
			of[row] = true
		}
		fmt.Fprintf(rows, "| %d | %s | %s | %s | %s | %s |\n", i+1, e.row, e.cve, e.what, tries, e.result)
	}
	return fmt.Sprintf(escapesHead, len(all), len(of), races, rounds) + rows.String()
}

const escapesHead = `# Escapes that were tried

Ways out of a container, or to something of the host's from inside, which other runtimes had
or might have had. TestEscapes (integration/escapes_test.go) tries each against the binary, as
a user with subordinate ids and as one without, and writes this table: %d ways of %d classes;
%d are races, each run at least %d times.

After each one, a file of the user's outside, a key in his ~/.ssh and the rootlet binary, which
is his own to write here, are as they were, nothing has shown what is in them, there is no new
file outside the store, and nobody is left running. "ALL" is ` + "`--cap-add ALL`" + `. Class is a number of
the list of threats that rootlet is measured by; S18 is its line about user namespaces.

| # | class | known as | what is tried | rounds | what becomes of it |
|---|---|---|---|---|---|
`
