package userns

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/internal/need"
)

// host is what a plan depends on: a root directory to read from, so that tests
// can have their own /etc and /proc, and the caller.
type host struct {
	root string // "" is the real one

	uid, gid uint32 // effective
	name     string // "" where the caller has none

	// ownUIDs and ownGIDs are the maps of the namespace that we stand in. All
	// ids exist in the initial one; in a nested one few do.
	ownUIDs, ownGIDs []Extent

	// accounts are the uids of /etc/passwd.
	accounts []account

	noNewPrivs bool // setuid and file capabilities are without effect
	noAdmin    bool // CAP_SYS_ADMIN is in nobody's reach, as in most containers

	// nameless says that the system knows no name for the caller; it is asked where the
	// files do not say, and nil in tests.
	nameless func(uid uint32) bool
}

type account struct {
	name string
	uid  uint32
}

func thisHost() (*host, error) {
	h := &host{uid: uint32(os.Geteuid()), gid: uint32(os.Getegid()), nameless: unknownToSystem}
	nnp, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	h.noNewPrivs = err == nil && nnp == 1
	admin, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, unix.CAP_SYS_ADMIN, 0, 0, 0)
	h.noAdmin = err == nil && admin == 0
	if err := h.read(os.Getenv("USER")); err != nil {
		return nil, err
	}
	return h, nil
}

// read fills in what the files say. The user's name is that of /etc/passwd, or
// else loginName: accounts from a directory service are not in the file, and
// asking for them takes cgo. A wrong name gives nothing away, since newuidmap
// asks the system itself.
func (h *host) read(loginName string) error {
	var err error
	if h.ownUIDs, err = h.readMap("/proc/self/uid_map"); err != nil {
		return err
	}
	if h.ownGIDs, err = h.readMap("/proc/self/gid_map"); err != nil {
		return err
	}
	passwd, _ := os.ReadFile(h.path("/etc/passwd")) // a missing file names nobody
	h.accounts = parsePasswd(string(passwd))
	h.name = loginName
	for _, a := range h.accounts {
		if a.uid == h.uid {
			h.name = a.name
			break
		}
	}
	return nil
}

func (h *host) path(p string) string { return h.root + p }

func (h *host) readMap(path string) ([]Extent, error) {
	data, err := os.ReadFile(h.path(path))
	if err != nil {
		return nil, &noProcError{err}
	}
	extents, err := parseMap(string(data))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return extents, nil
}

// isNameless reports whether newuidmap will find no name for the caller, as under a
// number that a container was started with.
func (h *host) isNameless() bool {
	for _, a := range h.accounts {
		if a.uid == h.uid {
			return false
		}
	}
	return h.nameless != nil && h.nameless(h.uid)
}

// getentWait is how long a directory service may take to say who we are.
const getentWait = 5 * time.Second

// unknownToSystem asks getent(1), which asks whom newuidmap will ask: the files, or a
// directory service. Where it cannot be asked, newuidmap has the last word.
func unknownToSystem(uid uint32) bool {
	getent, err := TrustedProgram("getent")
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), getentWait)
	defer cancel()
	c := exec.CommandContext(ctx, getent, "passwd", strconv.FormatUint(uint64(uid), 10))
	c.Env = []string{}
	var exit *exec.ExitError
	return errors.As(c.Run(), &exit) && exit.ExitCode() == 2 // "could not be found"
}

// noProcError is for a host that shows no processes.
type noProcError struct{ err error }

func (e *noProcError) Error() string { return e.err.Error() }
func (e *noProcError) Unwrap() error { return e.err }

// Hint is what an administrator types.
func (e *noProcError) Hint() string { return "mount -t proc proc /proc" }

// Need is the line of doctor about it.
func (e *noProcError) Need() string { return need.IDs }

// displayName is the name that an administrator would type.
func (h *host) displayName() string {
	if h.name != "" {
		return h.name
	}
	return strconv.FormatUint(uint64(h.uid), 10)
}

// parsePasswd takes names and uids from passwd(5) and leaves out what is not
// well formed, as getpwent(3) does.
func parsePasswd(data string) []account {
	accounts := make([]account, 0, strings.Count(data, "\n"))
	for line := range strings.Lines(data) {
		name, rest, _ := strings.Cut(line, ":")
		_, rest, _ = strings.Cut(rest, ":")
		id, _, found := strings.Cut(rest, ":")
		uid, err := strconv.ParseUint(id, 10, 32)
		if !found || err != nil || name == "" {
			continue
		}
		accounts = append(accounts, account{name: name, uid: uint32(uid)})
	}
	return accounts
}
