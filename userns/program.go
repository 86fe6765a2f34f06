package userns

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"rootlet/internal/distro"
)

// programDirs returns where a trusted program may be. PATH has no say: whoever
// sets it could give us a newuidmap of their own.
func programDirs() []string {
	return []string{"/usr/bin", "/usr/local/bin", "/bin", "/usr/sbin", "/sbin"}
}

// TrustedProgram finds a program of the host's that is root's alone to change.
func TrustedProgram(name string) (string, error) {
	return (&host{}).trustedProgram(name, ownedByRoot)
}

// errNotInstalled is for a program that is in none of the directories.
var errNotInstalled = errors.New("not installed")

// trust is what a program must have to be run.
type trust int

const (
	ownedByRoot trust = iota
	maySetUIDs        // and be allowed to write any uid_map
	maySetGIDs
)

// mappers finds newuidmap and newgidmap, or says in a line why they are of no use.
func (h *host) mappers() (newuidmap, newgidmap string, err error) {
	if newuidmap, err = h.trustedProgram("newuidmap", maySetUIDs); err != nil {
		return "", "", err
	}
	if newgidmap, err = h.trustedProgram("newgidmap", maySetGIDs); err != nil {
		return "", "", err
	}
	if h.noNewPrivs {
		return "", "", errors.New("newuidmap is without effect: no_new_privs is set for this process")
	}
	for _, path := range []string{newuidmap, newgidmap} {
		if h.noAdmin && needsAdmin(path) {
			return "", "", fmt.Errorf("%s: %w", path, errNeedsAdmin)
		}
	}
	return newuidmap, newgidmap, nil
}

// errNeedsAdmin is for a container around us that has not got CAP_SYS_ADMIN.
var errNeedsAdmin = errors.New("is setuid and made without libcap, and so takes CAP_SYS_ADMIN, which this container has not got")

// needsAdmin says of a program that is set-user-ID whether it writes maps as root, which
// the kernel lets it with CAP_SYS_ADMIN over the caller's new namespace alone. With libcap
// it becomes the caller first, who has that as the namespace's owner (shadow's
// write_mapping; file capabilities come to the same).
func needsAdmin(path string) bool {
	f, err := statProgram(path)
	if err != nil || f.mode&unix.S_ISUID == 0 {
		return false
	}
	binary, err := elf.Open(path)
	if err != nil {
		return false
	}
	defer binary.Close()
	libraries, err := binary.ImportedLibraries()
	return err == nil && len(libraries) > 0 && !slices.ContainsFunc(libraries, func(name string) bool { return strings.HasPrefix(name, "libcap.so") })
}

// trustedProgram returns the absolute path of the first program of that name
// that can be trusted, or the reason against the first that cannot.
func (h *host) trustedProgram(name string, need trust) (string, error) {
	var reason error
	for _, dir := range programDirs() {
		path := h.path(dir + "/" + name)
		f, err := statProgram(path)
		if err != nil {
			continue
		}
		if err = f.check(need); err == nil {
			return path, nil
		}
		if reason == nil {
			reason = fmt.Errorf("%s: %w", path, err)
		}
	}
	if reason == nil {
		reason = fmt.Errorf("%s is %w", name, errNotInstalled)
	}
	return "", reason
}

// program is what trust in a file depends on.
type program struct {
	mode, owner uint32
	nosuid      bool   // its filesystem is mounted so
	permitted   uint32 // file capabilities 0 to 31, where they are effective
}

func statProgram(path string) (program, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return program{}, err
	}
	f := program{mode: st.Mode, owner: st.Uid}
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err == nil {
		f.nosuid = fs.Flags&unix.ST_NOSUID != 0
	}
	if f.mode&unix.S_ISUID == 0 {
		attr := make([]byte, 64)
		if n, err := unix.Getxattr(path, "security.capability", attr); err == nil {
			f.permitted = effectiveCaps(attr[:n])
		}
	}
	return f, nil
}

// effectiveCaps reads the low word of a struct vfs_cap_data (capabilities(7),
// versions 2 and 3). Capabilities that are permitted but not effective count for
// nothing: shadow's programs do not raise them.
func effectiveCaps(attr []byte) uint32 {
	const (
		revisionMask = 0xff000000
		effective    = 0x000001
	)
	if len(attr) < 20 {
		return 0
	}
	magic := binary.LittleEndian.Uint32(attr)
	if v := magic & revisionMask; v != 0x02000000 && v != 0x03000000 || magic&effective == 0 {
		return 0
	}
	return binary.LittleEndian.Uint32(attr[4:])
}

func (f program) check(need trust) error {
	if f.mode&unix.S_IFMT != unix.S_IFREG {
		return errors.New("not a regular file")
	}
	if f.owner != 0 {
		return fmt.Errorf("belongs to the user %d, not to root", f.owner)
	}
	if f.mode&0o022 != 0 {
		return fmt.Errorf("can be written by others than root (mode %04o)", f.mode&0o7777)
	}
	if need == ownedByRoot {
		return nil
	}
	capability, name := uint32(unix.CAP_SETUID), "cap_setuid"
	if need == maySetGIDs {
		capability, name = unix.CAP_SETGID, "cap_setgid"
	}
	if f.mode&unix.S_ISUID == 0 && f.permitted&(1<<capability) == 0 {
		return fmt.Errorf("is neither setuid nor has the file capability %s", name)
	}
	if f.nosuid {
		return errors.New("its filesystem is mounted nosuid")
	}
	return nil
}

// fixForMappers is what an administrator types when mappers fails with err.
func (h *host) fixForMappers(err error) []string {
	if errors.Is(err, errNotInstalled) {
		return []string{distro.Read(h.path("/")).Install(distro.Newuidmap)}
	}
	path, reason, _ := strings.Cut(err.Error(), ": ")
	switch {
	case errors.Is(err, errNeedsAdmin):
		dir := filepath.Dir(path)
		return []string{fmt.Sprintf("chmod u-s %[1]s/newuidmap %[1]s/newgidmap && setcap cap_setuid=ep %[1]s/newuidmap && setcap cap_setgid=ep %[1]s/newgidmap", dir)}
	case strings.HasPrefix(reason, "is neither"):
		return []string{"chmod u+s " + path}
	case strings.HasPrefix(reason, "can be written"):
		return []string{"chmod go-w " + path}
	}
	return nil
}
