package userns

import (
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Notice says in one line what the plan costs, or nothing when it is the best.
// How to better it is in Fix.
func (p *Plan) Notice() string {
	switch p.Method {
	case OneID:
		return "only your own id is mapped (" + p.Why + "): every file of a container is yours, and what changes users and groups inside is pretended (root emulation)"
	case Root:
		return p.Why
	}
	return ""
}

// NoticeDue tells whether Notice should be shown now: DueToday, for each kind of plan.
func (p *Plan) NoticeDue(stampDir string, now time.Time) bool {
	if p.Notice() == "" {
		return false
	}
	return DueToday(stampDir, string(p.Method), now)
}

// DueToday tells whether something should be said now: once per day, in now's time zone,
// and name. A stamp in stampDir, which is made if it is missing, remembers that; where it
// cannot be written, it is due.
func DueToday(stampDir, name string, now time.Time) bool {
	stamp := filepath.Join(stampDir, "notice-"+name)
	today := now.Format(time.DateOnly)
	if shown, err := os.ReadFile(stamp); err == nil && strings.TrimSpace(string(shown)) == today {
		return false
	}
	if err := os.MkdirAll(stampDir, 0o700); err == nil {
		_ = os.WriteFile(stamp, []byte(today+"\n"), 0o600)
	}
	return true
}
