package sandbox

import (
	"fmt"
	"slices"
	"strings"

	"rootlet/fuseoverlay"
	"rootlet/sandbox/record"
	"rootlet/userns"
)

// idMap translates between the ids of a container (U2) and those of the
// monitor's user namespace (U1), both ways, as a list of extents whose HostID
// is an id of U1.
type idMap []userns.Extent

// mapsFor are the maps of --userns, within those of U1, of a caller who has these
// ids on the host.
func mapsFor(u record.UserNS, uids, gids []userns.Extent, uid, gid int) (idMap, idMap) {
	switch u.Mode {
	case record.KeepID:
		uid, gid = u.Kept(uid, gid)
		return keepIDs(uids, uint32(uid)), keepIDs(gids, uint32(gid))
	case record.NoMap:
		return subIDs(uids), subIDs(gids)
	}
	return sameIDs(uids), sameIDs(gids)
}

// sameIDs is the map of a container without --userns: every id of U1 is itself.
func sameIDs(u1 []userns.Extent) idMap {
	m := make(idMap, 0, len(u1))
	for _, e := range u1 {
		m = append(m, userns.Extent{ContainerID: e.ContainerID, HostID: e.ContainerID, Size: e.Size})
	}
	return m
}

// keepIDs is the map of --userns keep-id: the caller, who is 0 in U1, is id in
// the container too, and the ids of U1 from 1 up fill the places around. With
// one id in U1 it is all there is.
func keepIDs(u1 []userns.Extent, id uint32) idMap {
	want := idMap{
		{ContainerID: 0, HostID: 1, Size: id},
		{ContainerID: id, HostID: 0, Size: 1},
		{ContainerID: id + 1, HostID: id + 1, Size: ^uint32(0) - id - 1},
	}
	return want.within(u1)
}

// subIDs is the map of --userns nomap: the ids of U1 from 1 up are those of the
// container from 0 up, and the caller is none of them.
func subIDs(u1 []userns.Extent) idMap {
	return idMap{{ContainerID: 0, HostID: 1, Size: ^uint32(0) - 1}}.within(u1)
}

// within splits extents so that each lies inside one extent of U1, as the
// kernel demands of a map (user_namespaces(7)), and drops what U1 does not have.
func (m idMap) within(u1 []userns.Extent) idMap {
	var split idMap
	for _, e := range m {
		for _, u := range u1 {
			first := max(uint64(e.HostID), uint64(u.ContainerID))
			end := min(uint64(e.HostID)+uint64(e.Size), uint64(u.ContainerID)+uint64(u.Size))
			if first >= end {
				continue
			}
			split = append(split, userns.Extent{
				ContainerID: e.ContainerID + uint32(first-uint64(e.HostID)),
				HostID:      uint32(first),
				Size:        uint32(end - first),
			})
		}
	}
	slices.SortFunc(split, func(a, b userns.Extent) int { return int(int64(a.ContainerID) - int64(b.ContainerID)) })
	return split
}

// toU1 translates a container's id.
func (m idMap) toU1(container int) (int, bool) {
	for _, e := range m {
		if offset := int64(container) - int64(e.ContainerID); offset >= 0 && offset < int64(e.Size) {
			return int(int64(e.HostID) + offset), true
		}
	}
	return 0, false
}

// bounds are the lowest and the highest id that is mapped.
func (m idMap) bounds() [2]int {
	if len(m) == 0 {
		return [2]int{}
	}
	last := m[len(m)-1]
	return [2]int{int(m[0].ContainerID), int(int64(last.ContainerID) + int64(last.Size) - 1)}
}

// shifts reports whether any id differs between container and U1, so that the
// files of an image have to be shown under other owners than they are stored.
// Where the caller's is the one id all files are its own, whatever it is called
// inside: owners that it is not would be nobody's, and closed to everybody.
func (m idMap) shifts() bool {
	if m.callersAlone() {
		return false
	}
	return slices.ContainsFunc(m, func(e userns.Extent) bool { return e.ContainerID != e.HostID })
}

// callersAlone says that the caller's id is the only one.
func (m idMap) callersAlone() bool { return len(m) == 1 && m[0].HostID == 0 && m[0].Size == 1 }

// hasCaller says that the caller has an id in the container.
func (m idMap) hasCaller() bool {
	return slices.ContainsFunc(m, func(e userns.Extent) bool { return e.HostID == 0 })
}

// shown says under which owners the files of an image are to be served: a file
// of the image's user n is stored as id n of U1, and must be the one that is n
// in the container. A caller who is not in the container gets the first number
// that nobody has there: what the monitor makes in the root needs some owner
// until it is given to container root.
func (m idMap) shown() []fuseoverlay.Shift {
	shifts := make([]fuseoverlay.Shift, 0, len(m)+1)
	for _, e := range m {
		shifts = append(shifts, fuseoverlay.Shift{From: e.ContainerID, To: e.HostID, Size: e.Size})
	}
	if !m.hasCaller() {
		shifts = append(shifts, fuseoverlay.Shift{From: uint32(m.bounds()[1]) + 1, To: 0, Size: 1})
	}
	return shifts
}

// text is the map as the kernel reads it from /proc/PID/uid_map.
func (m idMap) text() string {
	var b strings.Builder
	for _, e := range m {
		fmt.Fprintf(&b, "%d %d %d\n", e.ContainerID, e.HostID, e.Size)
	}
	return b.String()
}

// nobody is what the kernel shows for an id that a container does not have
// (user_namespaces(7), overflowuid).
const nobody = 65534

// fromU1 translates an id of U1's.
func (m idMap) fromU1(id uint32) uint32 {
	for _, e := range m {
		if id >= e.HostID && id-e.HostID < e.Size {
			return e.ContainerID + (id - e.HostID)
		}
	}
	return nobody
}
