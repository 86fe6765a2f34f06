package userns

import (
	"cmp"
	"slices"
)

const (
	// proposedFirst and proposedCount are SUB_UID_MIN and SUB_UID_COUNT of
	// useradd(8), so that a proposal lies where the system's own would.
	proposedFirst = 100000
	proposedCount = 65536
)

// freeRange returns the first of proposedCount ids that no line of the tables
// touches: the same for uids and gids, which makes both easy to read.
func freeRange(tables []*table) uint32 {
	return freeFrom(tables, proposedFirst, proposedCount)
}

// freeFrom returns the lowest id from first on that starts count free ids. A
// table that leaves no such gap gets first: then nothing better can be said.
func freeFrom(tables []*table, first, count uint32) uint32 {
	var taken []span
	for _, t := range tables {
		for _, l := range t.lines {
			if l.reason == "" {
				taken = append(taken, l.ids)
			}
		}
	}
	slices.SortFunc(taken, func(a, b span) int { return cmp.Compare(a.first, b.first) })
	candidate := uint64(first)
	for _, s := range taken {
		if uint64(s.first) >= candidate+uint64(count) {
			break
		}
		candidate = max(candidate, uint64(s.last())+1)
	}
	if candidate+uint64(count)-1 > lastID {
		return first
	}
	return uint32(candidate)
}
