package doctor

import (
	"errors"
	"fmt"
	"strings"

	"rootlet/internal/need"
)

// What came with which kernel, as major and minor number.
var (
	fuseKernel    = [2]int{4, 18} // FUSE in user namespaces
	overlayKernel = [2]int{5, 11} // overlay in user namespaces
	allKernel     = [2]int{5, 13} // what rootlet is tested with at least
)

// kernel says what its age costs.
func (h Host) kernel() Need {
	n := Need{Name: need.Kernel, Status: OK, Now: "Linux " + h.Kernel}
	if len(h.RefusedCalls) > 0 {
		return h.refused(n)
	}
	major, minor := kernelVersion(h.Kernel)
	if atLeast(major, minor, allKernel) {
		return n
	}
	n.Status, n.Better, n.Fix.Admin = Better, "Linux 5.13 or newer", h.Distro.NewerKernel()
	switch {
	case major == 0:
		n.Why, n.Fix.Admin = "its version cannot be read", nil
	case atLeast(major, minor, overlayKernel):
		n.Why = "rootlet is made for 5.13 and newer"
	case atLeast(major, minor, fuseKernel):
		n.Why = "it has no overlay in user namespaces (5.11)"
	default:
		n.Status, n.Why = Missing, "it has neither overlay (5.11) nor FUSE (4.18) in user namespaces"
	}
	return n
}

// refused is for a kernel without calls that nothing stands in for, be it too old or with
// a filter that is older than they.
func (h Host) refused(n Need) Need {
	n.Status, n.Better, n.Why = Missing, "Linux 5.13 or newer, and no filter that refuses its calls", errors.Join(h.RefusedCalls...).Error()
	n.Why = strings.ReplaceAll(n.Why, "\n", ", ")
	major, minor := kernelVersion(h.Kernel)
	if atLeast(major, minor, allKernel) {
		n.Fix.Admin = []string{"docker run --security-opt seccomp=unconfined ...   # the container around this one; or a newer Docker and libseccomp"}
		return n
	}
	n.Fix.Admin = h.Distro.NewerKernel()
	return n
}

// kernelVersion reads the beginning of a release, "6.1.0-18-amd64"; 0 where it is
// none.
func kernelVersion(release string) (major, minor int) {
	if n, _ := fmt.Sscanf(release, "%d.%d", &major, &minor); n != 2 {
		return 0, 0
	}
	return major, minor
}

func atLeast(major, minor int, want [2]int) bool {
	return major > want[0] || major == want[0] && minor >= want[1]
}
