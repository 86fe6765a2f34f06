package cli

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"rootlet/internal/distro"
)

// limits are the sysctls that bound user namespaces: the kernel's own, Debian's
// and Ubuntu's. Those that a kernel lacks are not shown.
var limits = [...]string{
	"user.max_user_namespaces",
	"kernel.unprivileged_userns_clone",
	"kernel.apparmor_restrict_unprivileged_userns",
}

// addHost reads what this machine is. root is "/" but in tests.
func (i *hostInfo) addHost(root string) {
	i.NCPU, i.OSType = runtime.NumCPU(), runtime.GOOS
	i.OperatingSystem = distro.Read(root).Name
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		i.KernelVersion, i.Architecture = unix.ByteSliceToString(name.Release[:]), unix.ByteSliceToString(name.Machine[:])
		i.Name = unix.ByteSliceToString(name.Nodename[:])
	}
	i.MemTotal = memory(root)
	for _, limit := range limits {
		i.addLimit(root, limit)
	}
}

func (i *hostInfo) addLimit(root, name string) {
	path := filepath.Join(root, "proc/sys", strings.ReplaceAll(name, ".", "/"))
	if text, err := os.ReadFile(path); err == nil {
		i.UserNamespaces.Limits = append(i.UserNamespaces.Limits, limit{name, strings.TrimSpace(string(text))})
	}
}

// memory is MemTotal of /proc/meminfo, in bytes, or 0.
func memory(root string) int64 {
	text, err := os.ReadFile(filepath.Join(root, "proc/meminfo"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) >= 2 && fields[0] == "MemTotal:" {
			kib, _ := strconv.ParseInt(fields[1], 10, 64)
			return kib * 1024
		}
	}
	return 0
}
