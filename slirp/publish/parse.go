package publish

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Parse reads the values of -p in Docker's forms: [[IP:][HOST]:]CONTAINER[/PROTOCOL],
// where HOST and CONTAINER are a port or a range, and name=value pairs (published,
// target, protocol). Each Mapping has one container port. A mapping that is given
// twice counts once; one host port for two purposes is an error.
func Parse(specs []string) ([]Mapping, error) {
	var out []Mapping
	fixed := map[Port][]Mapping{} // by the host's port
	for _, spec := range specs {
		mappings, err := parseSpec(spec)
		if err != nil {
			return nil, fmt.Errorf("publish %q: %w", spec, err)
		}
		for _, m := range mappings {
			// Without a fixed port nothing repeats: -p 80 -p 80 asks for two.
			if m.fixed() {
				host := Port{m.HostFirst, m.Protocol}
				if slices.Contains(fixed[host], m) {
					continue
				}
				if slices.ContainsFunc(fixed[host], m.overlaps) {
					return nil, fmt.Errorf("publish %q: host port %s is used twice", spec, host)
				}
				fixed[host] = append(fixed[host], m)
			}
			out = append(out, m)
		}
	}
	return out, nil
}

// overlaps says that two mappings cannot both have one host port.
func (m Mapping) overlaps(other Mapping) bool {
	return m.HostIP == other.HostIP || !m.HostIP.IsValid() || !other.HostIP.IsValid()
}

func parseSpec(spec string) ([]Mapping, error) {
	if strings.Contains(spec, "=") {
		var err error
		if spec, err = fromPairs(spec); err != nil {
			return nil, err
		}
	}
	ip, host, container, err := split(spec)
	if err != nil {
		return nil, err
	}
	ports, protocol, err := containerPorts(container)
	if err != nil {
		return nil, err
	}
	var hostPorts portRange
	if host != "" {
		if hostPorts, err = parseRange(host, 0); err != nil {
			return nil, fmt.Errorf("host port: %w", err)
		}
	}
	return expand(ip, hostPorts, ports, protocol)
}

// fromPairs turns published=8080,target=80,protocol=udp into 8080:80/udp.
func fromPairs(spec string) (string, error) {
	value := map[string]string{"protocol": TCP}
	for pair := range strings.SplitSeq(spec, ",") {
		name, text, found := strings.Cut(pair, "=")
		if !found {
			return "", fmt.Errorf("%q is not name=value", pair)
		}
		if !slices.Contains([]string{"published", "target", "protocol"}, name) {
			return "", fmt.Errorf("unknown name %q (published, target and protocol are known)", name)
		}
		value[name] = text
	}
	return value["published"] + ":" + value["target"] + "/" + value["protocol"], nil
}

// split takes a specification apart. The address of IPv6 has colons of its own,
// so that ::1 could be an address or a container port: brackets are a must.
func split(spec string) (ip netip.Addr, host, container string, err error) {
	address := ""
	if inner, bracketed := strings.CutPrefix(spec, "["); bracketed {
		var rest string
		var closed bool
		address, rest, closed = strings.Cut(inner, "]")
		ports, colon := strings.CutPrefix(rest, ":")
		host, container, closed2 := strings.Cut(ports, ":")
		if !closed || !colon || !closed2 || strings.Contains(container, ":") {
			return ip, "", "", errors.New("after [ADDRESS] come :HOST:CONTAINER")
		}
		if ip, err = netip.ParseAddr(address); err != nil || !ip.Is6() {
			return ip, "", "", fmt.Errorf("%q is no IPv6 address", address)
		}
		if ip.Zone() != "" {
			return ip, "", "", fmt.Errorf("address %s: an interface's name cannot be given here", ip)
		}
		return ip.Unmap(), host, container, nil
	}
	parts := strings.Split(spec, ":")
	switch {
	case len(parts) == 1:
		return ip, "", parts[0], nil
	case len(parts) == 2:
		return ip, parts[0], parts[1], nil
	case len(parts) == 3 && parts[0] != "":
		if ip, err = netip.ParseAddr(parts[0]); err != nil {
			return ip, "", "", fmt.Errorf("%q is no IP address", parts[0])
		}
		return ip, parts[1], parts[2], nil
	}
	return ip, "", "", errors.New("an IPv6 address is written in brackets, as in [::1]:8080:80")
}

// containerPorts reads CONTAINER[/PROTOCOL].
func containerPorts(text string) (portRange, string, error) {
	text, protocol, given := strings.Cut(text, "/")
	if !given || protocol == "" {
		protocol = TCP
	}
	switch protocol = strings.ToLower(protocol); protocol {
	case TCP, UDP:
	case "sctp":
		return portRange{}, "", errors.New("sctp is not forwarded, tcp and udp are")
	default:
		return portRange{}, "", fmt.Errorf("unknown protocol %q (tcp and udp are known)", protocol)
	}
	if text == "" {
		return portRange{}, "", errors.New("no container port")
	}
	ports, err := parseRange(text, 1)
	if err != nil {
		return portRange{}, "", fmt.Errorf("container port: %w", err)
	}
	return ports, protocol, nil
}

// portRange is first to last, both included.
type portRange struct{ first, last uint16 }

func (r portRange) size() int { return int(r.last) - int(r.first) + 1 }

// parseRange reads N or N-M. Least is 0 where port 0 means any.
func parseRange(text string, least uint16) (portRange, error) {
	from, to, isRange := strings.Cut(text, "-")
	first, err := parsePort(from)
	if err != nil {
		return portRange{}, err
	}
	if !isRange {
		if first < least {
			return portRange{}, fmt.Errorf("%d is not a port, 1 to 65535 are", first)
		}
		return portRange{first, first}, nil
	}
	last, err := parsePort(to)
	switch {
	case err != nil:
		return portRange{}, err
	case first == 0:
		return portRange{}, fmt.Errorf("%s: a range starts at 1 or above", text)
	case last < first:
		return portRange{}, fmt.Errorf("%s: the range ends before it starts", text)
	}
	return portRange{first, last}, nil
}

func parsePort(text string) (uint16, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("%q is not a port, 1 to 65535 are", text)
	}
	return uint16(n), nil
}

// expand makes a mapping for each container port. A host range for one container
// port stays a range, of which the first free port will be taken.
func expand(ip netip.Addr, host, container portRange, protocol string) ([]Mapping, error) {
	if container.size() == 1 || host.first == 0 {
		var out []Mapping
		for i := range container.size() {
			out = append(out, Mapping{ip, host.first, host.last, container.first + uint16(i), protocol})
		}
		return out, nil
	}
	if host.size() != container.size() {
		return nil, fmt.Errorf("%d host ports for %d container ports", host.size(), container.size())
	}
	var out []Mapping
	for i := range uint16(host.size()) {
		out = append(out, Mapping{ip, host.first + i, host.first + i, container.first + i, protocol})
	}
	return out, nil
}

// ParseExposed reads the values of --expose and EXPOSE: PORT or RANGE, with
// /PROTOCOL or without. The result has every port once, in order.
func ParseExposed(specs []string) ([]Port, error) {
	var out []Port
	known := map[string]*[1 << 16]bool{TCP: {}, UDP: {}} // an image may name all of them any number of times
	for _, spec := range specs {
		if strings.Contains(spec, ":") {
			return nil, fmt.Errorf("expose %q: a host port is given with -p", spec)
		}
		ports, protocol, err := containerPorts(spec)
		if err != nil {
			return nil, fmt.Errorf("expose %q: %w", spec, err)
		}
		for i := range ports.size() {
			number := ports.first + uint16(i)
			if !known[protocol][number] {
				known[protocol][number] = true
				out = append(out, Port{number, protocol})
			}
		}
	}
	return sorted(out), nil
}
