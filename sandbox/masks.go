package sandbox

import (
	"os"
	"path/filepath"
	"strings"
)

// What of /proc and /sys no container sees or writes: moby's list of 2026
// (daemon/pkg/oci/defaults.go), and of Podman's /sys/dev/block and /sys/fs/selinux. The kernel's own files decide which exist; a
// mask over a directory is an empty file system, over a file /dev/null.
var (
	maskedProc   = []string{"acpi", "asound", "interrupts", "kcore", "keys", "latency_stats", "sched_debug", "scsi", "timer_list", "timer_stats"}
	readOnlyProc = []string{"bus", "fs", "irq", "sys", "sysrq-trigger"}
	maskedSys    = []string{"dev/block", "firmware", "fs/selinux", "devices/virtual/powercap", "devices/system/cpu/cpu*/thermal_throttle"}
)

// mask is one path below the root of a container, without a leading slash.
type mask struct {
	path string
	dir  bool
}

// findMasks says which of the patterns exist below base, "/proc" or "/sys" of
// this host, and what they are.
func findMasks(base string, patterns []string) []mask {
	var found []mask
	for _, pattern := range patterns {
		paths := []string{filepath.Join(base, pattern)}
		if strings.Contains(pattern, "*") {
			paths, _ = filepath.Glob(paths[0])
		}
		for _, path := range paths {
			if info, err := os.Stat(path); err == nil {
				found = append(found, mask{path: strings.TrimPrefix(path, "/"), dir: info.IsDir()})
			}
		}
	}
	return found
}

// MaskedPaths are what of /proc and /sys no container sees, as Docker lists it:
// whether this host has them or not.
func MaskedPaths() []string { return append(below("/proc", maskedProc), below("/sys", maskedSys)...) }

// ReadOnlyPaths are what of /proc no container writes.
func ReadOnlyPaths() []string { return below("/proc", readOnlyProc) }

func below(base string, names []string) []string {
	var paths []string
	for _, name := range names {
		paths = append(paths, filepath.Join(base, name))
	}
	return paths
}
