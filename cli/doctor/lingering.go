package doctor

import "rootlet/internal/need"

// lingering says whether containers outlive a logout.
func (h Host) lingering() Need {
	n := Need{Name: need.Lingering, Status: OK, Now: "on: containers outlive a logout"}
	switch {
	case !h.Systemd:
		n.Now = "not needed: no systemd ends a user's processes"
	case !h.Lingers:
		n.Status, n.Now, n.Better = Better, "off: a logout may end containers", "on: they outlive it, and can start at boot"
		n.Why = "no file of yours in /var/lib/systemd/linger"
		n.Fix = Fix{
			User:  []string{"loginctl enable-linger"},
			Admin: []string{"loginctl enable-linger " + h.User + "   # where the user may not"},
			Own:   [][]string{{"loginctl", "enable-linger"}},
		}
	}
	return n
}
