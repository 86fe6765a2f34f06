package sandbox

import (
	"fmt"
	"math/bits"
	"strings"

	"golang.org/x/sys/unix"

	"rootlet/sandbox/record"
)

// capNames are capabilities(7) by number.
var capNames = []string{
	"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
	"LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
	"SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
	"SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
	"MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
	"CHECKPOINT_RESTORE",
}

// capSet is a set of capabilities, bit n being capability n.
type capSet uint64

// defaultCaps are Podman's eleven: Docker's without MKNOD, NET_RAW and
// AUDIT_WRITE, which mean nothing or too much in a user namespace.
const defaultCaps capSet = 1<<unix.CAP_CHOWN | 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_FOWNER | 1<<unix.CAP_FSETID |
	1<<unix.CAP_KILL | 1<<unix.CAP_NET_BIND_SERVICE | 1<<unix.CAP_SETFCAP | 1<<unix.CAP_SETGID |
	1<<unix.CAP_SETPCAP | 1<<unix.CAP_SETUID | 1<<unix.CAP_SYS_CHROOT

// allCaps are those that this code knows; the kernel may have fewer.
func allCaps() capSet { return 1<<len(capNames) - 1 }

// chooseCaps applies --cap-add and --cap-drop as Docker does: ALL on either
// side first, then the single ones, a drop winning over an add.
func chooseCaps(add, drop []string) (capSet, error) {
	adding, addAll, err := parseCaps(add)
	if err != nil {
		return 0, err
	}
	dropping, dropAll, err := parseCaps(drop)
	if err != nil {
		return 0, err
	}
	set := defaultCaps
	if addAll {
		set = allCaps()
	}
	if dropAll {
		set = 0
	}
	return (set | adding) &^ dropping, nil
}

// capsOf are the capabilities of a container's programs. What is dropped by name is
// dropped from a privileged one, too, where Docker would pass over it.
func capsOf(s *record.Spec) (capSet, error) {
	add := s.CapAdd
	if s.Privileged {
		add = append([]string{"ALL"}, add...)
	}
	return chooseCaps(add, s.CapDrop)
}

func parseCaps(names []string) (set capSet, all bool, err error) {
	for _, given := range names {
		name := strings.TrimPrefix(strings.ToUpper(given), "CAP_")
		if name == "ALL" {
			all = true
			continue
		}
		n, err := capNumber(name)
		if err != nil {
			return 0, false, fmt.Errorf("invalid capability %q: %w", given, err)
		}
		set |= 1 << n
	}
	return set, all, nil
}

func capNumber(name string) (int, error) {
	for n, known := range capNames {
		if known == name {
			return n, nil
		}
	}
	return 0, fmt.Errorf("capabilities(7) has none of that name")
}

// CheckCaps reports whether --cap-add and --cap-drop make sense.
func CheckCaps(add, drop []string) error {
	_, err := chooseCaps(add, drop)
	return err
}

// String lists the set by name, in the kernel's order.
func (s capSet) String() string {
	var names []string
	for rest := uint64(s); rest != 0; rest &= rest - 1 {
		n := bits.TrailingZeros64(rest)
		if n < len(capNames) {
			names = append(names, capNames[n])
		}
	}
	if names == nil {
		return "none"
	}
	return strings.Join(names, " ")
}
