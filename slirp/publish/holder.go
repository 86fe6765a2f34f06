package publish

import (
	"encoding/hex"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Holder is a process that has a port. The zero value is one that cannot be seen.
type Holder struct {
	Program string `json:"program,omitempty"`
	PID     int    `json:"pid,omitempty"` // as the host's procfs numbers it
}

// findHolder looks for the process with the socket that is in the way: the
// tables of sockets give its inode (proc_pid_net(5)), the descriptors of the
// processes that may be looked into, the caller's own, lead to it.
func findHolder(proc, protocol string, at netip.AddrPort) Holder {
	var inodes []string
	for _, table := range []string{protocol, protocol + "6"} {
		// The thread's own network namespace; net alone is that of its process.
		text, err := os.ReadFile(filepath.Join(proc, "thread-self/net", table))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if inode, found := inTheWay(line, protocol, at); found {
				inodes = append(inodes, "socket:["+inode+"]")
			}
		}
	}
	if len(inodes) == 0 {
		return Holder{}
	}
	processes, _ := os.ReadDir(proc)
	for _, p := range processes {
		pid, err := strconv.Atoi(p.Name())
		if err != nil || !hasDescriptor(filepath.Join(proc, p.Name(), "fd"), inodes) {
			continue
		}
		name, err := os.ReadFile(filepath.Join(proc, p.Name(), "comm"))
		if err != nil {
			continue
		}
		return Holder{Program: printable(string(name)), PID: pid}
	}
	return Holder{}
}

func hasDescriptor(dir string, links []string) bool {
	descriptors, _ := os.ReadDir(dir)
	return slices.ContainsFunc(descriptors, func(d os.DirEntry) bool {
		link, err := os.Readlink(filepath.Join(dir, d.Name()))
		return err == nil && slices.Contains(links, link)
	})
}

// printable keeps a process from writing to the terminal with its name.
func printable(name string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(name, "?"))
}

// The columns and states of /proc/net/tcp and its like.
const (
	columnLocal  = 1
	columnState  = 3
	columnInode  = 9
	stateListen  = "0A"
	stateUnbound = "07" // of a UDP socket: not connected
)

// inTheWay says whether a line of such a table keeps an address from being bound,
// and gives the socket's inode.
func inTheWay(line, protocol string, at netip.AddrPort) (string, bool) {
	columns := strings.Fields(line)
	if len(columns) <= columnInode {
		return "", false
	}
	state := columns[columnState]
	if protocol == TCP && state != stateListen || protocol == UDP && state != stateUnbound {
		return "", false
	}
	local, ok := parseHex(columns[columnLocal])
	if !ok || local.Port() != at.Port() {
		return "", false
	}
	theirs, ours := local.Addr(), at.Addr()
	same := theirs == ours
	// One that listens on [::] may have taken IPv4 as well.
	wide := theirs.IsUnspecified() && (theirs.Is6() || ours.Is4()) || ours.IsUnspecified() && theirs.Is4() == ours.Is4()
	return columns[columnInode], same || wide
}

// parseHex reads 0100007F:1F90: the address as 32-bit words of the host's byte
// order, the port as a number.
func parseHex(text string) (netip.AddrPort, bool) {
	address, port, _ := strings.Cut(text, ":")
	raw, err := hex.DecodeString(address)
	number, portErr := strconv.ParseUint(port, 16, 16)
	if err != nil || portErr != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, false
	}
	if littleEndian {
		for word := range slices.Chunk(raw, 4) {
			slices.Reverse(word)
		}
	}
	ip, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(ip.Unmap(), uint16(number)), ok
}
