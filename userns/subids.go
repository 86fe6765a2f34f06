package userns

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

const (
	subuidFile  = "/etc/subuid"
	subgidFile  = "/etc/subgid"
	nsswitch    = "/etc/nsswitch.conf"
	maxWarnings = 8
)

// subIDs are the caller's subordinate ids.
type subIDs struct {
	uids, gids []span
	tables     []*table // subuid, subgid
	warnings   []string
	asked      error // what getsubids answered, where it was asked in vain
}

// subIDs reads both tables, and asks getsubids where one says nothing.
func (h *host) subIDs() (*subIDs, error) {
	number := strconv.FormatUint(uint64(h.uid), 10)
	// Both tables go by the user: subgid(5) has no group names.
	names := []string{h.displayName(), number}
	uids, err := h.readTable(subuidFile)
	if err != nil {
		return nil, err
	}
	gids, err := h.readTable(subgidFile)
	if err != nil {
		return nil, err
	}
	ids := &subIDs{tables: []*table{uids, gids}}
	asUser, asGroup := identity{names: names, own: h.uid}, identity{names: names, own: h.gid}
	if ids.uids, err = uids.ranges(asUser); err != nil {
		return nil, err
	}
	if ids.gids, err = gids.ranges(asGroup); err != nil {
		return nil, err
	}
	if len(ids.uids) == 0 || len(ids.gids) == 0 {
		h.askGetsubids(ids)
	}
	ids.warnings = append(ids.warnings, uids.shared(asUser, ids.uids)...)
	ids.warnings = append(ids.warnings, gids.shared(asGroup, ids.gids)...)
	ids.warnings = append(ids.warnings, h.realAccounts(ids.uids)...)
	if n := len(ids.warnings); n > maxWarnings {
		ids.warnings = append(ids.warnings[:maxWarnings], fmt.Sprintf("and %d more overlaps", n-maxWarnings))
	}
	return ids, nil
}

func (h *host) readTable(file string) (*table, error) {
	data, err := os.ReadFile(h.path(file))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return parseTable(file, string(data)), nil
}

// realAccounts warns of ranges in which a person or a service lives.
func (h *host) realAccounts(mine []span) []string {
	var warnings []string
	for _, a := range h.accounts {
		if a.uid != h.uid && overlapsAny(span{first: a.uid, count: 1}, mine) {
			warnings = append(warnings, fmt.Sprintf("the subordinate uids of %s hold %d, which is the account %q", h.displayName(), a.uid, a.name))
		}
	}
	return warnings
}

// subidSource tells whether nsswitch.conf(5) names a source of sub-ids besides
// the files. Without one getsubids reads the same two files and has no more to
// say, so it is not worth its four processes.
func subidSource(nsswitch string) bool {
	for line := range strings.Lines(nsswitch) {
		line, _, _ = strings.Cut(line, "#")
		key, sources, _ := strings.Cut(line, ":")
		if strings.TrimSpace(key) != "subid" {
			continue
		}
		for _, s := range strings.Fields(sources) {
			if s != "files" {
				return true
			}
		}
	}
	return false
}
