package userns

import (
	"errors"
	"fmt"
	"os"

	"github.com/rootless-containers/rootlesskit/v3/pkg/parent/dynidtools"
	"github.com/rootless-containers/rootlesskit/v3/pkg/parent/idtools"
)

// getsubidsVariable is where dynidtools looks for the program before PATH.
const getsubidsVariable = "GETSUBIDS"

// askGetsubids fills in what the tables leave empty, where a directory service
// has sub-ids. It never fails: without an answer the plan is a lesser one.
func (h *host) askGetsubids(ids *subIDs) {
	conf, err := os.ReadFile(h.path(nsswitch))
	if err != nil || !subidSource(string(conf)) {
		return
	}
	uids, gids, err := h.getsubids()
	if err != nil {
		ids.asked = err
		return
	}
	// All or nothing: a source that is not the files replaces both tables.
	ids.uids, ids.gids = uids, gids
}

func (h *host) getsubids() (uids, gids []span, err error) {
	path, err := h.trustedProgram("getsubids", ownedByRoot)
	if err != nil {
		return nil, nil, err
	}
	defer setenv(getsubidsVariable, path)() // dynidtools would take it from PATH
	u, g, err := dynidtools.GetSubIDRanges(int(h.uid), h.name)
	if err != nil {
		return nil, nil, err
	}
	if uids, err = spans(u, h.uid); err != nil {
		return nil, nil, fmt.Errorf("uids: %w", err)
	}
	if gids, err = spans(g, h.gid); err != nil {
		return nil, nil, fmt.Errorf("gids: %w", err)
	}
	return uids, gids, nil
}

// setenv sets a variable of this process and returns what undoes it.
func setenv(key, value string) (undo func()) {
	before, had := os.LookupEnv(key)
	_ = os.Setenv(key, value)
	return func() {
		if had {
			_ = os.Setenv(key, before)
		} else {
			_ = os.Unsetenv(key)
		}
	}
}

// spans checks a directory service's answer as ranges checks a table.
func spans(ranges []idtools.SubIDRange, own uint32) ([]span, error) {
	out := make([]span, 0, len(ranges))
	for _, r := range ranges {
		if r.Start < 0 || r.Start > lastID || r.Length <= 0 {
			return nil, fmt.Errorf("%d ids from %d on is no range", r.Length, r.Start)
		}
		s := clipped(uint32(r.Start), uint64(r.Length))
		if s.overlaps(span{first: own, count: 1}) || overlapsAny(s, out) {
			return nil, fmt.Errorf("the range of %d ids from %d on overlaps another or the user's own id", r.Length, r.Start)
		}
		out = append(out, s)
	}
	if len(out) == 0 {
		return nil, errors.New("no ranges")
	}
	return out, nil
}
