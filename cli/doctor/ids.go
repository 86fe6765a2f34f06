package doctor

import (
	"errors"
	"fmt"
	"strings"

	"rootlet/internal/need"
	"rootlet/sandbox/record"
	"rootlet/userns"
)

// ids says which a container has.
func (h Host) ids() Need {
	n := Need{Name: need.IDs, Status: OK}
	if h.PlanErr != nil {
		n.Status, n.Now, n.Better, n.Why = Missing, "none: no container can run", "65536 ids of your own", h.PlanErr.Error()
		var line *userns.TableError
		if errors.As(h.PlanErr, &line) {
			n.Fix.Admin = []string{fmt.Sprintf("vi +%d %s   # a line reads NAME:FIRST:COUNT", line.Line, line.File)}
		}
		return n
	}
	switch h.Plan.Method {
	case userns.OneID:
		n.Now, n.Better = "one: your own"+h.emulation(), "65536 more, by newuidmap: an image's own users and groups"
	case userns.Root:
		n.Now, n.Better = fmt.Sprintf("%d uids, of which container 0 is the host's root", count(h.Plan.UIDs)), "an ordinary user's"
	default:
		n.Now, n.Better = fmt.Sprintf("%d uids and %d gids, by newuidmap", count(h.Plan.UIDs), count(h.Plan.GIDs)), "65536 that nobody else has"
	}
	n.Why, n.Fix.Admin = h.Plan.Why, h.Plan.Fix
	if h.Plan.Method == userns.Root {
		n.Fix.Admin, n.Fix.User = nil, h.Plan.Fix
	}
	if len(h.Plan.Warnings) > 0 && n.Why == "" {
		n.Why = strings.Join(h.Plan.Warnings, "; ")
	}
	if n.Why == "" {
		n.Better = ""
		return n
	}
	n.Status = Better
	return n
}

func count(extents []userns.Extent) (n uint64) {
	for _, e := range extents {
		n += uint64(e.Size)
	}
	return n
}

// emulation says what stands for the ids that there are not.
func (h Host) emulation() string {
	if h.EmulationWhy != "" {
		return "; the others are pretended, and forgotten (" + record.ZeroConsistency + ": " + h.EmulationWhy + ")"
	}
	return "; the others are pretended (" + record.RootEmulation + ")"
}
