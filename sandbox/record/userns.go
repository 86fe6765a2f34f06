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
	Auto   = "auto"    // likewise, and it has ids that no other container of this mode has
)

// UserNS is what --userns asks for.
type UserNS struct {
	Mode string  `json:"mode,omitempty"` // empty: he is root inside
	UID  *uint32 `json:"uid,omitempty"`  // keep-id: what he is called inside; nil: as outside
	GID  *uint32 `json:"gid,omitempty"`  // likewise

	Size uint32 `json:"size,omitempty"` // auto: how many ids; 0: as many as it needs
	IDs  Range  `json:"ids,omitzero"`   // auto: those that it has got
}

// userNSModes is what an error names.
const userNSModes = "keep-id[:uid=N,gid=N], nomap and auto[:size=N]"

// ParseUserNS reads a value of --userns.
func ParseUserNS(text string) (UserNS, error) {
	mode, options, given := strings.Cut(text, ":")
	u := UserNS{Mode: mode}
	switch mode {
	case "host":
		return u, errors.New("--userns host: a container of rootlet always has a user namespace of its own; without the flag its root is you")
	case KeepID, Auto:
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

// maxUserID is as in package identity: larger ids, which need more than these 31
// bits, read as negative in some programs.
const maxUserID = 1<<31 - 1

func (u *UserNS) set(option string) error {
	key, value, _ := strings.Cut(option, "=")
	n, err := strconv.ParseUint(value, 10, 31)
	id := uint32(n)
	switch {
	case u.Mode == KeepID && key == "uid":
		u.UID = &id
	case u.Mode == KeepID && key == "gid":
		u.GID = &id
	case u.Mode == Auto && key == "size":
		if u.Size = id; id == 0 {
			err = strconv.ErrRange
		}
	default:
		return fmt.Errorf("%s has no option %q: rootlet knows %s", u.Mode, key, userNSModes)
	}
	if err != nil {
		return fmt.Errorf("%s=%s: want a number up to %d", key, value, maxUserID)
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
	if u.UID != nil {
		options = append(options, fmt.Sprintf("uid=%d", *u.UID))
	}
	if u.GID != nil {
		options = append(options, fmt.Sprintf("gid=%d", *u.GID))
	}
	if u.Size != 0 {
		options = append(options, fmt.Sprintf("size=%d", u.Size))
	}
	if len(options) == 0 {
		return u.Mode
	}
	return u.Mode + ":" + strings.Join(options, ",")
}
