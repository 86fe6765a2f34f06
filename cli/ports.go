package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"rootlet/sandbox/record"
)

// portOf is a port of a container's.
type portOf struct {
	number   uint16
	protocol string
}

func (p portOf) String() string { return fmt.Sprintf("%d/%s", p.number, p.protocol) }

// parsePort reads PORT[/PROTOCOL].
func parsePort(text string) (portOf, error) {
	number, protocol, given := strings.Cut(text, "/")
	if !given {
		protocol = "tcp"
	}
	p := portOf{protocol: strings.ToLower(protocol)}
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return p, fmt.Errorf("invalid port %q: want a number up to 65535, or PORT/PROTOCOL", text)
	}
	p.number = uint16(n)
	switch p.protocol {
	case "tcp", "udp", "sctp":
		return p, nil
	}
	return p, fmt.Errorf("invalid port %q: the protocol is tcp, udp or sctp", text)
}

// exposed are the ports that a container exposes, in order. What cannot be read
// as one, as in a record of another hand, is none.
func exposed(s record.Spec) []portOf {
	var list []portOf
	for _, text := range s.ExposedPorts {
		if p, err := parsePort(text); err == nil {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b portOf) int {
		return cmp.Or(cmp.Compare(a.number, b.number), strings.Compare(a.protocol, b.protocol))
	})
	return slices.Compact(list)
}

// ports is the PORTS column: what a running container exposes in a network of
// its own, with ranges for what follows each other.
func ports(e record.Entry) string {
	if !e.State.Status.Up() || e.Spec.Network == "none" || e.Spec.Network == "host" {
		return ""
	}
	var (
		words []string
		open  = map[string][2]uint16{} // the range of each protocol that may still grow
		order []string
	)
	for _, p := range exposed(e.Spec) {
		r, growing := open[p.protocol]
		switch {
		case !growing:
			order = append(order, p.protocol)
			r[0] = p.number
		case p.number != r[1]+1:
			words = append(words, portRange(r, p.protocol))
			r[0] = p.number
		}
		r[1] = p.number
		open[p.protocol] = r
	}
	for _, protocol := range order {
		words = append(words, portRange(open[protocol], protocol))
	}
	return strings.Join(words, ", ")
}

func portRange(r [2]uint16, protocol string) string {
	if r[0] == r[1] {
		return portOf{r[0], protocol}.String()
	}
	return fmt.Sprintf("%d-%d/%s", r[0], r[1], protocol)
}
