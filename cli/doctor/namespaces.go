package doctor

import (
	"os"
	"path/filepath"
	"strings"

	"rootlet/internal/need"
)

// namespaces is the one need that nothing stands in for.
func (h Host) namespaces() Need {
	n := Need{Name: need.UserNamespaces, Status: OK, Now: "allowed"}
	if h.Namespaces.Allowed {
		if most := h.sysctl("user.max_user_namespaces"); most != "" {
			n.Now += ", " + most + " of them"
		}
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
