package userns

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Extent is one line of /proc/PID/uid_map or gid_map, see user_namespaces(7).
type Extent struct {
	ContainerID, HostID, Size uint32
}

const (
	// lastID is the highest id there is: (uid_t)-1 means "no change" to the kernel.
	lastID = 1<<32 - 2

	// maxExtents is the kernel's UID_GID_MAP_MAX_EXTENTS (Linux 4.15; 5 before).
	maxExtents = 340

	// maxMapBytes is what one write to a map may hold: the kernel refuses a page
	// or more (map_write in kernel/user_namespace.c), whatever the number of lines.
	maxMapBytes = 4095
)

// span is one range of ids on the host.
type span struct {
	first, count uint32
}

// last is the highest id of a span that holds at least one.
func (s span) last() uint32 { return s.first + (s.count - 1) }

func (s span) overlaps(o span) bool { return s.first <= o.last() && o.first <= s.last() }

// clipped makes a span of what a table says, ending at lastID. first must not
// lie beyond it and count not be 0.
func clipped(first uint32, count uint64) span {
	return span{first: first, count: uint32(min(count, uint64(lastID)-uint64(first)+1))}
}

// allot maps container 0 to the caller and 1 and up to the spans, as many as
// the kernel takes.
func (p *Plan) allot(caller uint32, spans []span) []Extent {
	extents := append(make([]Extent, 0, len(spans)+1), Extent{ContainerID: 0, HostID: caller, Size: 1})
	size := len(mapText(extents))
	next := uint64(1)
	for i, s := range spans {
		if next > lastID {
			break
		}
		e := Extent{ContainerID: uint32(next), HostID: s.first, Size: uint32(min(uint64(s.count), lastID-next+1))}
		size += len(mapText([]Extent{e}))
		if len(extents) == maxExtents || size > maxMapBytes {
			p.Warnings = append(p.Warnings, fmt.Sprintf("only %d of %d subordinate id ranges are mapped: the kernel takes no more", i, len(spans)))
			break
		}
		extents = append(extents, e)
		next += uint64(e.Size)
	}
	return extents
}

// within cuts spans down to the ids that exist in a namespace with these maps:
// rootlet may itself run in a container, whose tables promise more than it has.
func within(spans []span, own []Extent) []span {
	var kept []span
	for _, s := range spans {
		for _, e := range own {
			have := clipped(e.ContainerID, uint64(e.Size))
			if !s.overlaps(have) {
				continue
			}
			first, last := max(s.first, have.first), min(s.last(), have.last())
			kept = append(kept, span{first: first, count: last - first + 1})
		}
	}
	return kept
}

// CurrentMaps returns the maps of the calling process's user namespace. HostID
// is as the parent namespace sees it.
func CurrentMaps() (uids, gids []Extent, err error) {
	h := &host{}
	if uids, err = h.readMap("/proc/self/uid_map"); err != nil {
		return nil, nil, err
	}
	if gids, err = h.readMap("/proc/self/gid_map"); err != nil {
		return nil, nil, err
	}
	return uids, gids, nil
}

func parseMap(data string) ([]Extent, error) {
	var extents []Extent
	for line := range strings.Lines(data) {
		fields := strings.Fields(line)
		if len(fields) != 3 {
			return nil, fmt.Errorf("three numbers expected in %q", line)
		}
		var n [3]uint32
		for i, f := range fields {
			v, err := strconv.ParseUint(f, 10, 32)
			if err != nil {
				return nil, fmt.Errorf("line %q: %w", line, err)
			}
			n[i] = uint32(v)
		}
		if n[2] == 0 || n[0] > lastID {
			return nil, fmt.Errorf("no ids in %q", line)
		}
		extents = append(extents, Extent{ContainerID: n[0], HostID: n[1], Size: n[2]})
	}
	return extents, nil
}

// mapText is what is written to a map file.
func mapText(extents []Extent) string {
	var b []byte
	for _, e := range extents {
		b = strconv.AppendUint(b, uint64(e.ContainerID), 10)
		b = append(b, ' ')
		b = strconv.AppendUint(b, uint64(e.HostID), 10)
		b = append(b, ' ')
		b = strconv.AppendUint(b, uint64(e.Size), 10)
		b = append(b, '\n')
	}
	return string(b)
}

func writeMap(path string, extents []Extent) error {
	return writeProc(path, mapText(extents))
}

// writeProc writes all at once, as a map must be, and never creates a file.
func writeProc(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
