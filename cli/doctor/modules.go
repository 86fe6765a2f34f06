package doctor

import (
	"fmt"
	"strings"

	"rootlet/internal/need"
)

// securityModules says what confines a container besides its namespaces, and
// what confines rootlet.
func (h Host) securityModules() Need {
	n := Need{Name: need.SecurityModules, Status: OK}
	var words []string
	if h.Seccomp {
		words = append(words, "seccomp filter")
	} else {
		n.Status, n.Better, n.Why = Missing, "a filter of system calls", "this kernel has no filters of system calls (CONFIG_SECCOMP_FILTER)"
		n.Fix.Admin = h.Distro.NewerKernel()
		n.Fix.User = []string{"rootlet run --security-opt seccomp=unconfined IMAGE   # what you trust"}
		words = append(words, "no seccomp")
	}
	if h.read("sys/module/apparmor/parameters/enabled") == "Y" {
		word := "AppArmor"
		if h.sysctl("kernel.apparmor_restrict_unprivileged_userns") == "1" {
			word += " (user namespaces by profile only)"
		}
		words = append(words, word)
	}
	switch h.read("sys/fs/selinux/enforce") {
	case "1":
		words = append(words, "SELinux (enforcing)")
		if !h.Works() {
			n.Fix.Admin = append(n.Fix.Admin, "ausearch -m avc -ts recent | audit2why   # whether SELinux refused it")
		}
	case "0":
		words = append(words, "SELinux (permissive)")
	}
	if h.Landlock > 0 {
		words = append(words, fmt.Sprintf("Landlock %d", h.Landlock))
	} else {
		words = append(words, "no Landlock")
		h.wantLandlock(&n)
	}
	n.Now = strings.Join(words, ", ")
	return n
}

// wantLandlock says what lacks without it.
func (h Host) wantLandlock(n *Need) {
	if n.Status == Missing {
		return
	}
	n.Status, n.Better = Better, "Landlock: rootlet's own processes, and run --sandbox, have the fewer files"
	n.Why = h.LandlockWhy
	if major, minor := kernelVersion(h.Kernel); !atLeast(major, minor, allKernel) {
		n.Fix.Admin = append(n.Fix.Admin, h.Distro.NewerKernel()...)
	} else if modules := h.read("sys/kernel/security/lsm"); modules != "" {
		n.Fix.Admin = append(n.Fix.Admin, h.Distro.KernelArgument("lsm=landlock,"+modules)...)
	}
}
