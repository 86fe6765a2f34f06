package reportcard

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"rootlet/internal/syscalls"
)

// Closed are the names of the calls that are not let through.
func (c *Card) Closed(abi string) (names []string) {
	for _, name := range sortedKeys(c.Calls[abi]) {
		if c.Calls[abi][name] != Allowed {
			names = append(names, name)
		}
	}
	return names
}

// verdictRow exposes what has the given verdict.
func verdictRow(name, refused string, verdicts func(*Card) map[string]string, open string) Row {
	exposed := func(c *Card) (names []string) {
		for _, name := range sortedKeys(verdicts(c)) {
			if verdicts(c)[name] == open {
				names = append(names, name)
			}
		}
		return names
	}
	return listed(name, exposed).shownAs(func(c *Card) string {
		all := len(verdicts(c))
		return fmt.Sprintf("%d of %d %s", all-len(exposed(c)), all, refused)
	})
}

// callsRow leaves out of the comparison what the peer's filter cannot know.
func callsRow(abi string) Row {
	row := verdictRow("calls of "+abi, "closed", func(c *Card) map[string]string { return c.Calls[abi] }, Allowed)
	row.Weaker = func(c, peer *Card) []string {
		return without(without(row.exposed(c), row.exposed(peer)), Unknown(peer, abi))
	}
	return row
}

// Unknown are the calls newer than the newest that a filter lets through: it is older.
func Unknown(c *Card, abi string) []string {
	newest := newest(c, abi)
	return slices.DeleteFunc(c.Closed(abi), func(name string) bool { return numberOf(name, abi) <= newest })
}

// newest is the highest number that is let through, but for those that x32 begins its own
// with.
func newest(c *Card, abi string) int32 {
	const x32Own = 512
	highest := int32(-1)
	for name, verdict := range c.Calls[abi] {
		if nr := numberOf(name, abi); verdict == Allowed && nr&0xffff < x32Own {
			highest = max(highest, nr)
		}
	}
	return highest
}

func numberOf(name, abi string) int32 {
	for _, a := range abis {
		for _, c := range syscalls.Table {
			if a.name == abi && c.Name == name {
				return c.Numbers[a.column]
			}
		}
	}
	return -1
}

func shownLimits(c *Card) string {
	var shown []string
	for _, name := range []string{"CORE", "NOFILE", "NPROC"} {
		value := "unlimited"
		if l := c.Limits[name]; l != ^uint64(0) {
			value = strconv.FormatUint(l, 10)
		}
		shown = append(shown, name+" "+value)
	}
	return strings.Join(shown, ", ")
}

// shownMounts counts, of all mounts, those that lack each flag.
func shownMounts(c *Card) string {
	lacking := map[string]int{}
	for _, m := range c.Mounts {
		for _, flag := range without(mountFlags, m.Flags) {
			lacking[flag]++
		}
	}
	var shown []string
	for _, flag := range mountFlags {
		shown = append(shown, fmt.Sprintf("%d without %s", lacking[flag], flag))
	}
	return fmt.Sprintf("%d: %s", len(c.Mounts), strings.Join(shown, ", "))
}

// weakerMounts looks at every place where either has a mount, and compares the flags that
// hold there.
func weakerMounts(c, peer *Card) (weaker []string) {
	var places []string
	for _, m := range slices.Concat(c.Mounts, peer.Mounts) {
		places = append(places, m.Path)
	}
	slices.Sort(places)
	for _, place := range slices.Compact(places) {
		own, others := at(c, place), at(peer, place)
		for _, flag := range without(others.Flags, own.Flags) {
			// A device that is mounted by itself has to be one; devices are counted as such.
			if flag == "nodev" && own.Type == "devtmpfs" {
				continue
			}
			weaker = append(weaker, place+" without "+flag)
		}
	}
	return weaker
}

// at is the mount that a path is on.
func at(c *Card, place string) Mount {
	for {
		for _, m := range c.Mounts {
			if m.Path == place {
				return m
			}
		}
		if place == "/" {
			return Mount{}
		}
		place = path.Dir(place)
	}
}

// shownDevices has each once, whatever is allowed with it.
func shownDevices(c *Card) string {
	var names []string
	for _, d := range c.Devices {
		name, _, _ := strings.Cut(strings.TrimPrefix(d, "/dev/"), " ")
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}

func shared(c *Card, outside map[string]string) (kinds []string) {
	for _, kind := range sortedKeys(outside) {
		if c.Namespaces[kind] == outside[kind] {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}
