package record

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// How the ids of a container stand to the user's, as Podman names it.
const (
	KeepID = "keep-id" // his own id is his inside, too
	NoMap  = "nomap"   // his own id is nobody's inside
)

// UserNS is what --userns asks for.
type UserNS struct {
	Mode string  `json:"mode,omitempty"` // empty: he is root inside
	UID  *uint32 `json:"uid,omitempty"`  // keep-id: what he is called inside; nil: as outside
	GID  *uint32 `json:"gid,omitempty"`  // likewise
}

// userNSModes is what an error names.
const userNSModes = "keep-id[:uid=N,gid=N] and nomap"

// ParseUserNS reads a value of --userns.
func ParseUserNS(text string) (UserNS, error) {
	mode, options, given := strings.Cut(text, ":")
	u := UserNS{Mode: mode}
	switch mode {
	case "host":
		return u, errors.New("--userns host: a container of rootlet always has a user namespace of its own; without the flag its root is you")
	case KeepID:
	case "", NoMap:
		if given {
			return u, fmt.Errorf("--userns %q: %q has no options", text, mode)
		}
	default:
		return u, fmt.Errorf("--userns %q: rootlet knows %s", text, userNSModes)
	}
	if !given {
		return u, nil
	}
	for option := range strings.SplitSeq(options, ",") {
		if err := u.set(option); err != nil {
			return u, fmt.Errorf("--userns %q: %w", text, err)
		}
	}
	return u, nil
}

// maxUserID is as in package identity: larger ids read as negative in some programs.
const maxUserID = 1<<31 - 1

func (u *UserNS) set(option string) error {
	key, value, _ := strings.Cut(option, "=")
	n, err := strconv.ParseUint(value, 10, 32)
	if err != nil || n > maxUserID {
		return fmt.Errorf("%q: want uid=N or gid=N, with N from 0 to %d", option, maxUserID)
	}
	id := uint32(n)
	switch key {
	case "uid":
		u.UID = &id
	case "gid":
		u.GID = &id
	default:
		return fmt.Errorf("%s has no option %q: rootlet knows uid and gid", u.Mode, key)
	}
	return nil
}

// Kept are the ids that a caller has in a container of keep-id, who has these outside.
func (u UserNS) Kept(uid, gid int) (int, int) {
	if u.UID != nil {
		uid = int(*u.UID)
	}
	if u.GID != nil {
		gid = int(*u.GID)
	}
	return uid, gid
}

// String is the value of --userns.
func (u UserNS) String() string {
	var options []string
	for _, o := range []struct {
		name string
		id   *uint32
	}{{"uid", u.UID}, {"gid", u.GID}} {
		if o.id != nil {
			options = append(options, fmt.Sprintf("%s=%d", o.name, *o.id))
		}
	}
	if len(options) == 0 {
		return u.Mode
	}
	return u.Mode + ":" + strings.Join(options, ",")
}
