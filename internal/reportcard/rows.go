package reportcard

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Row is one property of a card.
type Row struct {
	Name string
	// Shown is what a cell of a table says.
	Shown func(*Card) string
	// Weaker lists what a card exposes that the peer's does not; nil where nothing is better
	// than something else.
	Weaker func(c, peer *Card) []string
	// exposed is what one card exposes by itself, for most rows.
	exposed func(*Card) []string
}

// Canary begins the names of variables that the caller of an engine has, and a container
// should not.
const Canary = "REPORTCARD_CANARY"

// Rows are all properties. The namespaces of whoever starts the engines are outside.
func Rows(outside map[string]string) []Row {
	rows := []Row{
		told("user and group", func(c *Card) string { return fmt.Sprintf("%d:%d", c.UID, c.GID) }),
		number("ids of the host that are mapped", func(c *Card) int { return c.IDs }),
	}
	for _, set := range capSets {
		rows = append(rows, listed("capabilities, "+set, func(c *Card) []string { return c.Capabilities[set] }))
	}
	rows = append(rows, singles()...)
	for _, a := range abis {
		rows = append(rows, callsRow(a.name))
	}
	return append(append(rows,
		verdictRow("calls by argument", "closed", func(c *Card) map[string]string { return c.Arguments }, Allowed),
		verdictRow("calls made in earnest", "refused", func(c *Card) map[string]string { return c.Attempts }, Works),
	), sights(outside)...)
}

// singles are the properties of one value.
func singles() []Row {
	return []Row{
		flag("no_new_privs", func(c *Card) bool { return c.NoNewPrivs }),
		flag("filter of system calls", func(c *Card) bool { return c.SeccompMode == 2 }),
		number("umask", func(c *Card) int { return 0o777 &^ c.Umask }).shownAs(func(c *Card) string { return fmt.Sprintf("%03o", c.Umask) }),
		// The lower it is, the later the kernel kills for memory.
		number("oom_score_adj", func(c *Card) int { return -c.OOMScoreAdj }).shownAs(func(c *Card) string { return strconv.Itoa(c.OOMScoreAdj) }),
		told("securebits", func(c *Card) string { return fmt.Sprintf("%#x", c.Securebits) }),
		told("dumpable", func(c *Card) string { return strconv.Itoa(c.Dumpable) }),
		told("hard limits", shownLimits),
	}
}

// sights are what can be seen and opened.
func sights(outside map[string]string) []Row {
	return []Row{
		listed("descriptors left open", func(c *Card) []string { return c.Descriptors }),
		{Name: "mounts", Shown: shownMounts, Weaker: weakerMounts},
		listed("kernel files to be read", func(c *Card) []string { return kinds(c.Readable) }),
		listed("kernel files to be written", func(c *Card) []string { return kinds(c.Writable) }),
		listed("devices", func(c *Card) []string { return c.Devices }).shownAs(shownDevices),
		listed("keys seen", func(c *Card) []string { return c.Keys }),
		listed("other processes seen", func(c *Card) []string { return c.Processes }),
		listed("namespaces shared with the caller", func(c *Card) []string { return shared(c, outside) }),
		listed("the caller's variables seen", func(c *Card) []string {
			return slices.DeleteFunc(slices.Clone(c.Environment), func(name string) bool { return !strings.HasPrefix(name, Canary) })
		}),
	}
}

var digits = regexp.MustCompile("[0-9]+")

// kinds have one name for what there is once per processor, mount or device: a mount that
// somebody else made in the meantime is nothing of the container's.
func kinds(paths []string) []string {
	names := make([]string, len(paths))
	for i, path := range paths {
		names[i] = digits.ReplaceAllString(path, "N")
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// listed is a property of things that are exposed, of which each is one too many.
func listed(name string, exposed func(*Card) []string) Row {
	shown := func(c *Card) string {
		if n := len(exposed(c)); n > 0 {
			return strconv.Itoa(n)
		}
		return "none"
	}
	return Row{Name: name, Shown: shown, exposed: exposed, Weaker: func(c, peer *Card) []string {
		return without(exposed(c), exposed(peer))
	}}
}

// told is a property that is neither weak nor strong.
func told(name string, shown func(*Card) string) Row {
	return Row{Name: name, Shown: shown}
}

func (r Row) shownAs(shown func(*Card) string) Row {
	r.Shown = shown
	return r
}

// number is a property of which more is weaker.
func number(name string, of func(*Card) int) Row {
	return Row{Name: name, Shown: func(c *Card) string { return strconv.Itoa(of(c)) }, Weaker: func(c, peer *Card) []string {
		if of(c) > of(peer) {
			return []string{fmt.Sprintf("%d, not %d", of(c), of(peer))}
		}
		return nil
	}}
}

func flag(name string, on func(*Card) bool) Row {
	return Row{Name: name, Shown: func(c *Card) string {
		if on(c) {
			return "yes"
		}
		return "no"
	}, Weaker: func(c, peer *Card) []string {
		if !on(c) && on(peer) {
			return []string{"no"}
		}
		return nil
	}}
}

func without(list, others []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(others, s) })
}
