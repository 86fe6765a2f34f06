package userns

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"rootlet/internal/need"
)

// TableError is a line of a sub-id table that cannot be used.
type TableError struct {
	File   string
	Line   int // counted from 1
	Text   string
	Reason string
}

func (e *TableError) Error() string {
	return fmt.Sprintf("%s:%d: %q: %s", e.File, e.Line, e.Text, e.Reason)
}

// Hint is for the user to pass on: the tables are root's.
func (e *TableError) Hint() string {
	return fmt.Sprintf("an administrator corrects line %d of %s; a line reads NAME:FIRST:COUNT", e.Line, e.File)
}

// Need is the line of doctor about it.
func (e *TableError) Need() string { return need.IDs }

// table is a file in the format of subuid(5) and subgid(5).
type table struct {
	file  string
	lines []tableLine
}

type tableLine struct {
	number int
	text   string
	owner  string // a name or a number
	ids    span
	reason string // why the line is malformed; "" and ids is valid
}

func (t *table) wrong(l tableLine, reason string) error {
	return &TableError{File: t.file, Line: l.number, Text: l.text, Reason: reason}
}

// parseTable never fails: what is malformed matters only to its owner.
func parseTable(file, data string) *table {
	t := &table{file: file}
	number := 0
	for text := range strings.Lines(data) {
		number++
		text = strings.TrimSpace(text)
		if text == "" || text[0] == '#' {
			continue
		}
		l := tableLine{number: number, text: text}
		if err := l.parse(); err != nil {
			l.reason = err.Error()
		}
		t.lines = append(t.lines, l)
	}
	return t
}

func (l *tableLine) parse() error {
	owner, rest, found := strings.Cut(l.text, ":")
	first, count, found2 := strings.Cut(rest, ":")
	if !found || !found2 || owner == "" || strings.ContainsAny(owner, " \t") || strings.Contains(count, ":") {
		l.owner = firstWord(l.text)
		return errors.New("not of the form NAME:FIRST:COUNT")
	}
	l.owner = owner
	start, err := strconv.ParseUint(first, 10, 32)
	if err != nil || start > lastID {
		return fmt.Errorf("the first id %q is not a number from 0 to %d", first, uint32(lastID))
	}
	// A count may run past the last id, and those ids are then left out: tables
	// that give "all the rest" with a round number are seen in the field.
	n, err := strconv.ParseUint(count, 10, 64)
	if err != nil {
		return fmt.Errorf("the count %q is not a number", count)
	}
	if n == 0 {
		return errors.New("the range is empty")
	}
	l.ids = clipped(uint32(start), n)
	return nil
}

// firstWord guesses whose line a malformed one is meant to be.
func firstWord(text string) string {
	if i := strings.IndexAny(text, ": \t,;="); i >= 0 {
		return text[:i]
	}
	return text
}

// identity is a user as the tables may call them.
type identity struct {
	names []string
	own   uint32 // the id that becomes container 0
}

func (id identity) is(owner string) bool {
	for _, n := range id.names {
		if n != "" && n == owner {
			return true
		}
	}
	return false
}

// ranges returns every range of this user in the order of the file. Any line of
// theirs that is malformed, or overlaps another of theirs, is an error: the
// kernel refuses a map with an id in it twice.
func (t *table) ranges(who identity) ([]span, error) {
	var mine []tableLine
	for _, l := range t.lines {
		if !who.is(l.owner) {
			continue
		}
		if l.reason != "" {
			return nil, t.wrong(l, l.reason)
		}
		if l.ids.overlaps(span{first: who.own, count: 1}) {
			return nil, t.wrong(l, fmt.Sprintf("the range holds the id %d, which is the user's own", who.own))
		}
		same := false
		for _, m := range mine {
			if m.ids == l.ids {
				same = true // once by name and once by number
			} else if m.ids.overlaps(l.ids) {
				return nil, t.wrong(l, fmt.Sprintf("the range overlaps line %d: %q", m.number, m.text))
			}
		}
		if !same {
			mine = append(mine, l)
		}
	}
	spans := make([]span, len(mine))
	for i, l := range mine {
		spans[i] = l.ids
	}
	return spans, nil
}

// shared warns of ranges that another user has too: each could change the
// other's files (CVE-2024-56433).
func (t *table) shared(who identity, mine []span) []string {
	var warnings []string
	for _, l := range t.lines {
		if l.reason != "" || who.is(l.owner) || !overlapsAny(l.ids, mine) {
			continue
		}
		warnings = append(warnings, fmt.Sprintf("%s:%d: %q overlaps the ids of %s: each can change the other's files", t.file, l.number, l.text, who.names[0]))
	}
	return warnings
}

func overlapsAny(s span, others []span) bool {
	for _, o := range others {
		if s.overlaps(o) {
			return true
		}
	}
	return false
}
