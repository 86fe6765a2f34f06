package doctor

import (
	"fmt"
	"slices"
	"strings"

	"rootlet/internal/distro"
	"rootlet/internal/need"
)

// delegated are the controllers that limit a container's processes.
var delegated = [...]string{"cpu", "memory", "pids"}

// limits says what holds a container to its limits.
func (h Host) limits() Need {
	n := Need{Name: need.Limits, Status: OK, Now: h.Cgroup.By}
	if h.Cgroup.By == "" {
		n.Status, n.Now, n.Better, n.Why = Better, "best effort: no cgroups", "a cgroup for each container", h.Cgroup.Why
		n.Fix = h.divide()
		return n
	}
	var absent []string
	for _, c := range delegated {
		if !slices.Contains(h.Cgroup.Controllers, c) {
			absent = append(absent, c)
		}
	}
	if len(h.Cgroup.Controllers) > 0 {
		n.Now += ": " + strings.Join(h.Cgroup.Controllers, " ")
	}
	if h.Cgroup.Legacy {
		n.Status, n.Better, n.Why = Better, "cgroup v2, in which a container begins and which no program of yours leaves", h.Cgroup.Why
		n.Fix.Admin = h.Distro.CgroupV2()
		return n
	}
	if len(absent) > 0 {
		n.Status, n.Better, n.Why = Better, "with "+strings.Join(absent, " and "), "the cgroup that is yours to divide does not have "+map[bool]string{true: "it", false: "them"}[len(absent) == 1]
		if h.Systemd {
			n.Fix.Admin = delegateLines()
		}
	}
	return n
}

// divide are the lines by which the cgroup becomes the user's to divide.
func (h Host) divide() Fix {
	var f Fix
	switch {
	case h.Cgroup.Version == "1":
		f.Admin = append(h.Distro.CgroupV2(),
			"# or directories of version 1, until the next boot:",
			fmt.Sprintf("for c in cpu cpuacct freezer memory pids; do d=/sys/fs/cgroup/$c/%s; mkdir -p $d && chown %s $d && echo %d > $d/cgroup.procs; done   # the shell that runs rootlet", h.User, h.User, h.Shell))
	case !h.Systemd:
		dir := "/sys/fs/cgroup/" + h.User
		f.Admin = []string{
			"mkdir -p " + dir,
			fmt.Sprintf("chown %s %s %s/cgroup.procs %s/cgroup.subtree_control %s/cgroup.threads", h.User, dir, dir, dir, dir),
			fmt.Sprintf("echo %d > %s/cgroup.procs   # the shell that runs rootlet", h.Shell, dir),
		}
	case h.Bus:
		f.User = []string{`systemd-run --user --scope -p Delegate=yes "$SHELL"   # and run rootlet in there`}
	case h.Distro.Is(distro.Debian, distro.Ubuntu):
		f.Admin = []string{h.Distro.Install(distro.UserBus) + "   # and log in anew"}
	default:
		f.Admin = []string{"machinectl shell " + h.User + "@   # a login of one's own, which su is not"}
	}
	return f
}

// delegateLines have systemd pass the controllers on to every user.
func delegateLines() []string {
	return []string{
		"mkdir -p /etc/systemd/system/user@.service.d",
		`printf '[Service]\nDelegate=cpu cpuset io memory pids\n' > /etc/systemd/system/user@.service.d/delegate.conf`,
		"systemctl daemon-reload   # and log in anew",
	}
}
