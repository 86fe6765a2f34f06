package doctor

import (
	"strings"

	"rootlet/internal/need"
)

// network says what --network auto is.
func (h Host) network() Need {
	n := Need{Name: need.Network, Status: OK, Now: strings.TrimSpace(h.Network.Driver + " " + h.Network.Version)}
	switch {
	case h.Network.None:
		n.Status, n.Now, n.Better = Missing, "loopback only", "a network of the container's own"
	case h.Network.Why != "":
		n.Status, n.Better = Better, "the program that is tried first"
	default:
		return n
	}
	n.Why = h.Network.Why
	fix := strings.TrimPrefix(h.Network.Fix, "as root: ")
	line, elsewhere, _ := strings.Cut(fix, "; ")
	if line == "" {
		return n
	}
	if elsewhere != "" {
		line += "   # " + elsewhere
	}
	n.Fix.Admin = []string{line}
	if strings.HasPrefix(line, "modprobe ") {
		n.Fix.Admin = append(n.Fix.Admin, "echo tun > /etc/modules-load.d/tun.conf   # and after a reboot")
	}
	return n
}
