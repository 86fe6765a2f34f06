package userns

import "fmt"

const (
	// containersUser owns the ranges that Podman's --userns=auto draws from, by
	// convention of containers-storage.conf(5); no account of that name exists.
	containersUser = "containers"

	// rootFirst and rootCount are what root's containers get where no table has
	// anything for them: ids 1 to 65535, so that nobody (65534) is among them,
	// from the upper half of the id space, where distributions, systemd-homed and
	// directory services assign nothing.
	rootFirst = 1 << 31
	rootCount = 65535
)

// rootPlan is the plan where root runs rootlet. Container 0 is root, as it is
// the caller everywhere, but 1 and up are never the host's own 1 and up: a
// process that breaks out as such an id must own nothing there. They are root's
// subordinate ids, or those of "containers", or else a high range that is free.
func (h *host) rootPlan(ids *subIDs) *Plan {
	p := &Plan{
		Method:   Root,
		Why:      "root runs rootlet, which is for ordinary users: container 0 is the host's root, and less is confined",
		Fix:      []string{"su - USER   # and run rootlet as that user"},
		Warnings: ids.warnings,
	}
	free := span{first: freeFrom(ids.tables, rootFirst, rootCount), count: rootCount}
	uids := within(h.rootRanges(ids.uids, ids.tables[0], free), h.ownUIDs)
	gids := within(h.rootRanges(ids.gids, ids.tables[1], free), h.ownGIDs)
	if len(uids) == 0 || len(gids) == 0 {
		// Root of a container: its namespace has few ids, and only its maker knows
		// which of them are to spare.
		last := h.ownUIDs[len(h.ownUIDs)-1]
		return h.oneID(
			fmt.Sprintf("this root lives in a user namespace that has no ids beyond %d and /etc/subuid and /etc/subgid give it none of those", clipped(last.ContainerID, uint64(last.Size)).last()),
			[]string{"echo root:1:65535 | tee -a /etc/subuid /etc/subgid   # or another range that this namespace has"})
	}
	p.UIDs = p.allot(h.uid, uids)
	p.GIDs = p.allot(h.gid, gids)
	return p
}

// rootRanges picks from one table. A malformed line of "containers" is not
// root's own, so it is passed over.
func (h *host) rootRanges(own []span, t *table, free span) []span {
	if len(own) > 0 {
		return own
	}
	spare, err := t.ranges(identity{names: []string{containersUser}, own: h.uid})
	if err == nil && len(spare) > 0 {
		return spare
	}
	return []span{free}
}
