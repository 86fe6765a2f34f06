package unpack

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// NodeXattr records, as "c:major:minor" or "b:major:minor", the device that an empty file
// stands for, where nobody can make one (package emulation).
const NodeXattr = "user.rootlet.node"

// NodeText is the value for a device, whose kind is S_IFCHR or S_IFBLK.
func NodeText(kind, major, minor uint32) string {
	letter := "c"
	if kind == unix.S_IFBLK {
		letter = "b"
	}
	return fmt.Sprintf("%s:%d:%d", letter, major, minor)
}

// ParseNode reads it; any program of a container's may have written it.
func ParseNode(text string) (kind, major, minor uint32, ok bool) {
	fields := strings.Split(text, ":")
	if len(fields) != 3 {
		return 0, 0, 0, false
	}
	switch fields[0] {
	case "c":
		kind = unix.S_IFCHR
	case "b":
		kind = unix.S_IFBLK
	default:
		return 0, 0, 0, false
	}
	// As many bits as the kernel has for each.
	a, errA := strconv.ParseUint(fields[1], 10, 12)
	b, errB := strconv.ParseUint(fields[2], 10, 20)
	return kind, uint32(a), uint32(b), errA == nil && errB == nil
}
