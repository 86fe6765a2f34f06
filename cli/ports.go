package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"rootlet/sandbox/record"
	"rootlet/slirp"
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

// portRange is PORT[-PORT][/PROTOCOL].
type portRange struct {
	first, last uint16
	protocol    string
}

func (r portRange) has(p portOf) bool {
	return p.protocol == r.protocol && r.first <= p.number && p.number <= r.last
}

func (r portRange) String() string {
	if r.first == r.last {
		return portOf{r.first, r.protocol}.String()
	}
	return fmt.Sprintf("%d-%d/%s", r.first, r.last, r.protocol)
}

func parsePortRanges(values []string) ([]portRange, error) {
	var list []portRange
	for _, value := range values {
		numbers, protocol, given := strings.Cut(value, "/")
		if !given {
			protocol = "tcp"
		}
		first, last, ranged := strings.Cut(numbers, "-")
		if !ranged {
			last = first
		}
		from, err := parsePort(first + "/" + protocol)
		if err != nil {
			return nil, err
		}
		to, err := parsePort(last + "/" + protocol)
		if err != nil {
			return nil, err
		}
		if to.number < from.number {
			return nil, fmt.Errorf("invalid ports %q: the first is above the last", value)
		}
		list = append(list, portRange{from.number, to.number, from.protocol})
	}
	return list, nil
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
	if !e.State.Status.Up() || !slirp.IsDriver(e.Network()) {
		return ""
	}
	var (
		words []string
		open  = map[string]portRange{} // that of each protocol, which may still grow
		order []string
	)
	for _, p := range exposed(e.Spec) {
		r, growing := open[p.protocol]
		switch {
		case !growing:
			order = append(order, p.protocol)
			r = portRange{first: p.number, protocol: p.protocol}
		case p.number != r.last+1:
			words = append(words, r.String())
			r.first = p.number
		}
		r.last = p.number
		open[p.protocol] = r
	}
	for _, protocol := range order {
		words = append(words, open[protocol].String())
	}
	return strings.Join(words, ", ")
}
