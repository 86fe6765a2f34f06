// Package seccomp turns a profile, Docker's own or a file in Docker's format, into a
// filter of system calls that the kernel runs (seccomp(2)), without libseccomp.
//
// A filter is plain data: compile.go says which verdict a call gets, asm.go lays the
// comparisons out, print.go shows them. Nothing here loads it: that is a step of the
// list that a process of a container walks through (sandbox/program.go), and the one
// that compiles is its monitor, or the user's own command for exec.
package seccomp

import (
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"rootlet/internal/syscalls"
)

// Machine is what a filter is made for, besides the profile.
type Machine struct {
	Arch   string // as GOARCH: amd64 or arm64
	Kernel [2]int // version: 6, 12
	// HasCap says whether the program may have a capability, as CAP_CHOWN.
	HasCap func(name string) bool
}

// Filter is a program for the kernel.
type Filter struct {
	Code  []unix.SockFilter
	Flags uint // of seccomp(2); see Supported
}

// arch is an architecture, as an index into syscalls.Call's Numbers.
type arch int

const (
	amd64 arch = iota
	i386
	x32
	arm64
	arm
)

// x32Bit is in the numbers of x32, which says of itself that it is amd64.
const x32Bit = 0x40000000

// Names of the architectures, as profiles have them.
var archNames = [...]string{"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"}

// audit is what the kernel calls an architecture in seccomp_data (audit(7)).
func (a arch) audit() uint32 {
	return [...]uint32{unix.AUDIT_ARCH_X86_64, unix.AUDIT_ARCH_I386, unix.AUDIT_ARCH_X86_64, unix.AUDIT_ARCH_AARCH64, unix.AUDIT_ARCH_ARM}[a]
}

// wide says whether arguments have 64 bits. x32's registers do; its calls take 32,
// and that is how libseccomp compares them.
func (a arch) wide() bool { return a == amd64 || a == arm64 }

func (a arch) String() string { return [...]string{"amd64", "i386", "x32", "arm64", "arm"}[a] }

// runs are the architectures whose programs a machine runs, its own first.
func (m Machine) runs() []arch {
	if m.Arch == "arm64" {
		return []arch{arm64, arm}
	}
	return []arch{amd64, i386, x32}
}

// find is a call's place in syscalls.Table.
func find(name string) (int, bool) {
	return slices.BinarySearchFunc(syscalls.Table[:], name, func(c syscalls.Call, name string) int { return strings.Compare(c.Name, name) })
}
