package doctor

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"rootlet/internal/distro"
	"rootlet/internal/need"
	"rootlet/sandbox"
	"rootlet/sandbox/record"
)

// namespaces is the one need that nothing stands in for.
func (h Host) namespaces() Need {
	n := Need{Name: need.UserNamespaces, Status: OK, Now: "allowed"}
	if h.Namespaces.Allowed {
		if most := h.sysctl("user.max_user_namespaces"); most != "" {
			n.Now += ", " + most + " of them"
		}
		h.belowFull(&n)
		return n
	}
	n.Status, n.Now, n.Better, n.Why = Missing, "none: no container can run", "one for each container", h.Namespaces.Error
	if n.Why == "" {
		n.Now, n.Why = "not tried", "it takes ids and a storage location: see there"
	}
	if fix := h.Namespaces.Fix; fix != "" {
		n.Fix.Admin = append([]string{fix}, lasting(fix)...)
	}
	return n
}

// settings are what bounds the namespaces that a container has from the host for want of
// its own.
var settings = map[string]string{
	record.HostPID: "user.max_pid_namespaces", record.HostNetwork: "user.max_net_namespaces", record.HostIPC: "user.max_ipc_namespaces",
	record.HostUTS: "user.max_uts_namespaces", record.HostCgroup: "user.max_cgroup_namespaces",
}

// belowFull says what of a container's namespaces, and of what shows them, the host
// refuses. Words of a level that are about something else have lines of their own.
func (h Host) belowFull(n *Need) {
	for _, word := range h.Namespaces.Level {
		why := sandbox.Without(word)
		if why == "" {
			continue
		}
		if n.Status == OK {
			n.Now, n.Better, n.Status = n.Now+"; a container is below full: "+word, "what `rootlet ps` calls full", Better
		} else {
			n.Now, why = n.Now+", "+word, n.Why+"; "+why
		}
		n.Why = why
		for _, line := range h.raise(word) {
			if !slices.Contains(n.Fix.Admin, line) {
				n.Fix.Admin = append(n.Fix.Admin, line)
			}
		}
	}
}

// raise are the lines by which a container need not do without: a limit of this host's, or
// what the container around this one is to be started with.
func (h Host) raise(word string) []string {
	if setting := settings[word]; h.sysctl(setting) == "0" {
		fix := "sysctl -w " + setting + "=28633"
		return append([]string{fix}, lasting(fix)...)
	}
	engine := cmp.Or(distro.Engine(h.Root), "rootlet")
	switch {
	case word != record.BoundProc && word != record.BoundSys:
		return []string{engine + " run --security-opt seccomp=unconfined ...   # the container around this one"}
	case engine == "podman":
		return []string{"podman run --security-opt unmask=ALL ...   # the container around this one"}
	}
	return []string{engine + " run --security-opt systempaths=unconfined ...   # the container around this one"}
}

// lasting is the line by which a sysctl outlives a reboot.
func lasting(fix string) []string {
	value, ok := strings.CutPrefix(fix, "sysctl -w ")
	if !ok {
		return nil
	}
	return []string{"echo " + value + " >> /etc/sysctl.d/90-rootlet.conf   # and after a reboot"}
}

func (h Host) sysctl(name string) string {
	return h.read("proc/sys/" + strings.ReplaceAll(name, ".", "/"))
}

// read is a file's text, empty where there is none.
func (h Host) read(path string) string {
	text, _ := os.ReadFile(filepath.Join(h.Root, path))
	return strings.TrimSpace(string(text))
}
