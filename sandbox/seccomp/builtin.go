package seccomp

import (
	"slices"

	"golang.org/x/sys/unix"
)

// Builtin is the filter of Docker's profile. That of a program with the capabilities
// of a container is there already (builtin_GOARCH.go), since all that a start of a
// container does is on its user's time.
func Builtin(m Machine) (Filter, error) {
	if m.usual() {
		return Filter{Code: unpacked(usual[:]), Flags: unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW}, nil
	}
	p, err := Docker()
	if err != nil {
		return Filter{}, err
	}
	return p.Compile(m)
}

// unpacked has each instruction in its fields. As a number it is what it is in the
// memory of our machines.
func unpacked(packed []uint64) []unix.SockFilter {
	code := make([]unix.SockFilter, len(packed))
	for i, p := range packed {
		code[i] = unix.SockFilter{Code: uint16(p), Jt: uint8(p >> 16), Jf: uint8(p >> 24), K: uint32(p >> 32)}
	}
	return code
}

// asked are the capabilities that Docker's profile has rules about.
var asked = [...]string{
	"CAP_BPF", "CAP_DAC_READ_SEARCH", "CAP_PERFMON", "CAP_SYSLOG", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_CHROOT", "CAP_SYS_MODULE",
	"CAP_SYS_NICE", "CAP_SYS_PACCT", "CAP_SYS_PTRACE", "CAP_SYS_RAWIO", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG",
}

// usualKernel is the newest that the profile has rules about, or newer.
var usualKernel = [2]int{4, 8}

// usual says whether a filter for the machine is the one that is there: of those
// capabilities the program has the one that containers have.
func (m Machine) usual() bool {
	return slices.Compare(m.Kernel[:], usualKernel[:]) >= 0 &&
		!slices.ContainsFunc(asked[:], func(name string) bool { return m.HasCap(name) != (name == "CAP_SYS_CHROOT") })
}
