package seccomp

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Here is the machine that this process runs on, for a program that may have some
// capabilities.
func Here(hasCap func(name string) bool) (Machine, error) {
	m := Machine{Arch: runtime.GOARCH, HasCap: hasCap}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return m, fmt.Errorf("uname: %w", err)
	}
	release := unix.ByteSliceToString(name.Release[:])
	if _, err := fmt.Sscanf(release, "%d.%d", &m.Kernel[0], &m.Kernel[1]); err != nil {
		return m, fmt.Errorf("kernel version %q: %w", release, err)
	}
	return m, nil
}

// Actions are those that the kernel knows; none: it has no filters, or no /proc.
func Actions() []string {
	text, err := os.ReadFile("/proc/sys/kernel/seccomp/actions_avail")
	if err != nil {
		return nil
	}
	return strings.Fields(string(text))
}

// Supported leaves of flags those that the kernel knows. It looks at flags before it
// reads the filter, of which there is none here (seccomp(2)).
func Supported(flags uint) uint {
	var known uint
	for rest := flags; rest != 0; rest &= rest - 1 {
		flag := rest & -rest
		_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, uintptr(flag), uintptr(unsafe.Pointer(nil)))
		if errno == unix.EFAULT {
			known |= flag
		}
	}
	return known
}
