package doctor

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay"
	"rootlet/internal/distro"
	"rootlet/internal/need"
)

const fuseDevice = "/dev/fuse"

// rootFilesystem says how layers become one tree.
func (h Host) rootFilesystem() Need {
	n := Need{Name: need.RootFilesystem, Status: OK}
	if h.Driver.Driver == "" {
		n.Status, n.Now, n.Why = Missing, "not tried", "it takes a user namespace"
		if h.Namespaces.Allowed && h.DriverErr != nil {
			n.Now, n.Why = "none: no container can run", h.DriverErr.Error()
		}
		return n
	}
	n.Now = map[string]string{
		fuseoverlay.Native:        "native overlay",
		fuseoverlay.FuseOverlayfs: "fuse-overlayfs, a process for each container",
		fuseoverlay.Copy:          "copy: each container copies its layers",
	}[h.Driver.Driver]
	if h.Driver.Forced {
		n.Now += " (asked for)"
	}
	switch {
	case len(h.Driver.RuledOut) > 0:
	case h.Driver.Forced && h.Driver.Driver != fuseoverlay.Native:
		n.Status, n.Better, n.Why = Better, "the best that works here", "--storage-driver, ROOTLET_STORAGE_DRIVER or config.toml asks for this one"
		return n
	default:
		return n
	}
	n.Status, n.Better = Better, "native overlay"
	var whys []string
	for _, r := range h.Driver.RuledOut {
		whys = append(whys, r.Driver+": "+r.Why)
	}
	n.Why = strings.Join(whys, "; ")
	if slices.ContainsFunc(h.Driver.RuledOut, func(r fuseoverlay.RuledOut) bool { return r.Driver == fuseoverlay.FuseOverlayfs }) {
		n.Better += ", or fuse-overlayfs"
		n.Fix.Admin = h.fuseLines(whys)
	}
	if major, minor := kernelVersion(h.Kernel); !atLeast(major, minor, overlayKernel) {
		n.Fix.Admin = append(n.Fix.Admin, h.Distro.NewerKernel()...)
	}
	return n
}

// fuseLines are what fuse-overlayfs lacks.
func (h Host) fuseLines(whys []string) []string {
	var lines []string
	if slices.ContainsFunc(whys, func(why string) bool {
		return strings.HasSuffix(why, fuseoverlay.FuseOverlayfs+" is not installed")
	}) {
		lines = append(lines, h.Distro.Install(distro.FuseOverlayfs))
	}
	device := filepath.Join(h.Root, fuseDevice)
	if _, err := os.Stat(device); errors.Is(err, fs.ErrNotExist) {
		return append(lines, "modprobe fuse", "echo fuse > /etc/modules-load.d/fuse.conf   # and after a reboot")
	}
	if err := unix.Access(device, unix.R_OK|unix.W_OK); err != nil {
		lines = append(lines, "chmod 0666 "+fuseDevice)
	}
	return lines
}
