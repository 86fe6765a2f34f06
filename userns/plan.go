package userns

import (
	"errors"
	"fmt"
	"strings"

	"rootlet/internal/distro"
)

// Method is the way in which a Plan's maps get into the kernel.
type Method string

// The methods, best first for an ordinary user.
const (
	// NewIDMap maps every subordinate id, through newuidmap(1) and newgidmap(1).
	NewIDMap Method = "newuidmap"
	// OneID maps the caller's own id alone, as container 0.
	OneID Method = "one-id"
	// Root writes the maps directly, because root runs rootlet.
	Root Method = "root"
)

// Plan is what a user namespace of this caller will look like, and why.
type Plan struct {
	// UIDs and GIDs are the maps: container 0 is the caller, 1 and up are the
	// caller's subordinate ids in the order of the tables.
	UIDs, GIDs []Extent

	Method Method

	// Why says in one line why the plan is not better; it is empty when the plan
	// is the best there is.
	Why string

	// Fix holds the lines that an administrator types to change that.
	Fix []string

	// Warnings names what is wrong with the tables and yet no reason to stop:
	// ranges that another user or a real account has too.
	Warnings []string

	newuidmap, newgidmap string // absolute paths, checked
}

// NewPlan looks at this host and this caller. It fails only where the caller's
// own lines of a sub-id table are wrong; all else degrades to a lesser plan.
func NewPlan() (*Plan, error) {
	h, err := thisHost()
	if err != nil {
		return nil, err
	}
	return h.plan()
}

func (h *host) plan() (*Plan, error) {
	ids, err := h.subIDs()
	if err != nil {
		return nil, err
	}
	if h.uid == 0 {
		return h.rootPlan(ids), nil
	}
	return h.userPlan(ids), nil
}

// userPlan is the plan of an ordinary user: every range, or else one id.
func (h *host) userPlan(ids *subIDs) *Plan {
	uids, gids := within(ids.uids, h.ownUIDs), within(ids.gids, h.ownGIDs)
	if len(uids) == 0 || len(gids) == 0 {
		why, fix := h.noRanges(ids)
		return h.oneID(why, fix)
	}
	newuidmap, newgidmap, err := h.mappers()
	if err != nil {
		return h.oneID(err.Error(), h.fixForMappers(err))
	}
	if h.isNameless() {
		return h.oneID(
			fmt.Sprintf("the system knows no user of the number %d, whose name newuidmap asks for", h.uid),
			[]string{fmt.Sprintf("useradd -M -u %d NAME   # or have the directory service answer `getent passwd %d`", h.uid, h.uid)})
	}
	p := &Plan{Method: NewIDMap, newuidmap: newuidmap, newgidmap: newgidmap}
	p.Warnings = append(p.Warnings, ids.warnings...)
	p.UIDs = p.allot(h.uid, uids)
	p.GIDs = p.allot(h.gid, gids)
	h.fewer(p, ids)
	return p
}

// oneID maps the caller alone: the kernel lets anyone do that (since Linux 3.8;
// for the group since 3.19 only with setgroups denied, CVE-2014-8989).
func (h *host) oneID(why string, fix []string) *Plan {
	return &Plan{
		Method: OneID,
		Why:    why,
		Fix:    fix,
		UIDs:   []Extent{{ContainerID: 0, HostID: h.uid, Size: 1}},
		GIDs:   []Extent{{ContainerID: 0, HostID: h.gid, Size: 1}},
	}
}

// noRanges says which table is silent about the caller, or which ranges this
// namespace does not have, and what to type.
func (h *host) noRanges(ids *subIDs) (why string, fix []string) {
	var silent []string
	if len(ids.uids) == 0 {
		silent = append(silent, "subordinate uids in "+subuidFile)
	}
	if len(ids.gids) == 0 {
		silent = append(silent, "subordinate gids in "+subgidFile)
	}
	if len(silent) == 0 {
		return "the subordinate ids of " + h.displayName() + " do not exist in this user namespace: see /proc/self/uid_map", nil
	}
	why = h.displayName() + " has no " + strings.Join(silent, " and no ")
	if ids.asked != nil {
		why += fmt.Sprintf(" (getsubids: %v)", ids.asked)
	}
	fix = h.moreIDs(ids, len(ids.uids) == 0, len(ids.gids) == 0)
	if _, _, err := h.mappers(); errors.Is(err, errNotInstalled) {
		fix = append(fix, h.fixForMappers(err)...) // or that would be the next news
	}
	return why, fix
}

// moreIDs are the lines that give the caller a range that nobody has.
func (h *host) moreIDs(ids *subIDs, uids, gids bool) []string {
	return distro.Read(h.path("/")).GiveIDs(h.displayName(), freeRange(ids.tables), proposedCount, uids, gids)
}

// enough is how many ids make every one of an image's: it may name any below the
// 65536 that distributions give each user, and nobody is the last but one.
const enough = proposedCount

// fewer says what a plan lacks that has less than enough.
func (h *host) fewer(p *Plan, ids *subIDs) {
	uids, gids := total(p.UIDs), total(p.GIDs)
	if uids >= enough && gids >= enough {
		return
	}
	p.Why = fmt.Sprintf("%s has %d uids and %d gids, and images have files of ids up to %d", h.displayName(), uids, gids, enough-1)
	p.Fix = h.moreIDs(ids, uids < enough, gids < enough)
}

func total(extents []Extent) (n uint64) {
	for _, e := range extents {
		n += uint64(e.Size)
	}
	return n
}
