package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"rootlet/sandbox/record"
	"rootlet/slirp"
	"rootlet/slirp/publish"
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

func (r portRange) has(p publish.Port) bool {
	return p.Protocol == r.protocol && r.first <= p.Number && p.Number <= r.last
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
func exposed(s record.Spec) []publish.Port {
	var list []publish.Port
	for _, text := range s.ExposedPorts {
		if p, err := parsePort(text); err == nil {
			list = append(list, publish.Port{Number: p.number, Protocol: p.protocol})
		}
	}
	slices.SortFunc(list, func(a, b publish.Port) int {
		return cmp.Or(cmp.Compare(a.Number, b.Number), strings.Compare(a.Protocol, b.Protocol))
	})
	return slices.Compact(list)
}

// ports is the PORTS column: what a running container publishes, and exposes, in a
// network of its own.
func ports(e record.Entry) string {
	if !e.State.Status.Up() || !slirp.IsDriver(e.Network()) && len(e.State.Endpoints) == 0 {
		return ""
	}
	return publish.Column(e.State.Ports, exposed(e.Spec))
}

// published are a container's ports that are to be had from outside, whether or not it
// runs.
func published(s record.Spec) []publish.Port {
	var list []publish.Port
	for _, m := range s.Ports {
		list = append(list, m.Port())
	}
	if s.PublishAll {
		list = append(list, exposed(s)...)
	}
	return list
}
