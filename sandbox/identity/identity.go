// Package identity finds out which ids a container's program runs with, from
// the image's own /etc/passwd and /etc/group. Those files are the image's, and
// so hostile: they may be fifos, devices, endless or nonsense. It runs in the
// monitor and never asks the host's user database.
package identity

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"rootlet/internal/linux"
	"rootlet/sandbox/rootfs"
)

// Identity is what a program runs as. Its ids are the container's.
type Identity struct {
	UID, GID int
	Groups   []int // supplementary groups, GID not among them by need
	Home     string
	Name     string
}

// maxID is the largest id that Linux programs agree on: larger ones read as
// negative in a signed 32-bit field (CVE-2024-40635).
const maxID = 1<<31 - 1

// MaxFile bounds passwd and group, in bytes (CVE-2024-9676).
const MaxFile = 1 << 20

// Resolve understands Docker's USER: name or number, either with :group, empty
// for root. extra are --group-add's names and numbers.
func Resolve(root *os.File, user string, extra []string) (Identity, error) {
	passwd, err := read(root, "/etc/passwd")
	if err != nil {
		return Identity{}, err
	}
	group, err := read(root, "/etc/group")
	if err != nil {
		return Identity{}, err
	}
	return Lookup(passwd, group, user, extra)
}

// Lookup is Resolve for who has read the two files already: no more of each than
// MaxFile bytes, and nothing for one that is missing.
func Lookup(passwd, group, user string, extra []string) (Identity, error) {
	name, groupName, hasGroup := strings.Cut(user, ":")
	if name == "" {
		name = "0"
	}
	who, known, err := findUser(passwd, name)
	if err != nil {
		return who, err
	}
	if hasGroup && groupName != "" {
		if who.GID, err = findGroup(group, groupName); err != nil {
			return who, err
		}
	} else if known {
		who.Groups = groupsOf(group, who.Name)
	}
	for _, name := range extra {
		gid, err := findGroup(group, name)
		if err != nil {
			return who, err
		}
		who.Groups = append(who.Groups, gid)
	}
	return who, nil
}

// findUser looks a user up by name, and where name is a number by that, which
// wins: a user whose name is a number must not stand for another id
// (CVE-2016-3697). A number needs no entry.
func findUser(passwd, name string) (Identity, bool, error) {
	uid, numeric, err := parseID(name, "user")
	if err != nil {
		return Identity{}, false, err
	}
	for fields := range entries(passwd, 7) {
		entryUID, errUID := strconv.Atoi(fields[2])
		entryGID, errGID := strconv.Atoi(fields[3])
		match := fields[0] == name
		if numeric {
			match = entryUID == uid
		}
		if errUID != nil || errGID != nil || !match {
			continue
		}
		if entryUID < 0 || entryUID > maxID || entryGID < 0 || entryGID > maxID {
			return Identity{}, false, fmt.Errorf("user %q: id out of range in the image's /etc/passwd", name)
		}
		return Identity{UID: entryUID, GID: entryGID, Home: home(fields[5]), Name: fields[0]}, true, nil
	}
	if numeric {
		return Identity{UID: uid, Home: "/"}, false, nil
	}
	return Identity{}, false, fmt.Errorf("unable to find user %s: no matching entries in the image's /etc/passwd", name)
}

// Highest is the highest id in a passwd or group file, but for nobody's: the user
// of no files needs no id.
func Highest(file string) int {
	highest := 0
	for fields := range entries(file, 3) {
		ids := fields[2:3]
		if len(fields) >= 7 { // passwd
			ids = fields[2:4]
		}
		for _, field := range ids {
			id, err := strconv.Atoi(field)
			if err == nil && id <= maxID && id != nobody && fields[0] != "nobody" && fields[0] != "nogroup" {
				highest = max(highest, id)
			}
		}
	}
	return highest
}

// nobody is the id of a user by this name in all distributions.
const nobody = 65534

func home(field string) string {
	if field == "" {
		return "/"
	}
	return field
}

func findGroup(group, name string) (int, error) {
	gid, numeric, err := parseID(name, "group")
	if err != nil || numeric {
		return gid, err
	}
	for fields := range entries(group, 4) {
		if gid, err := strconv.Atoi(fields[2]); err == nil && fields[0] == name && gid >= 0 && gid <= maxID {
			return gid, nil
		}
	}
	return 0, fmt.Errorf("unable to find group %s: no matching entries in the image's /etc/group", name)
}

func groupsOf(group, user string) []int {
	var gids []int
	for fields := range entries(group, 4) {
		gid, err := strconv.Atoi(fields[2])
		if err != nil || gid < 0 || gid > maxID {
			continue
		}
		for member := range strings.SplitSeq(fields[3], ",") {
			if member == user {
				gids = append(gids, gid)
				break
			}
		}
	}
	return gids
}

// parseID reads a number, and refuses one that no id can be.
func parseID(s, what string) (id int, numeric bool, err error) {
	if strings.Trim(s, "0123456789") != "" && !(strings.HasPrefix(s, "-") && strings.Trim(s[1:], "0123456789") == "") {
		return 0, false, nil
	}
	id, err = strconv.Atoi(s)
	if err != nil || id < 0 || id > maxID {
		return 0, true, fmt.Errorf("%s %s: ids are from 0 to %d", what, s, maxID)
	}
	return id, true, nil
}

// entries yields the lines of a passwd-like file that have at least n fields.
func entries(file string, n int) func(yield func([]string) bool) {
	return func(yield func([]string) bool) {
		lines := bufio.NewScanner(strings.NewReader(file))
		lines.Buffer(nil, MaxFile)
		for lines.Scan() {
			fields := strings.Split(strings.TrimSpace(lines.Text()), ":")
			if len(fields) >= n && fields[0] != "" && !yield(fields) {
				return
			}
		}
	}
}

// Introduce gives a user of --userns keep-id a name in the image's passwd and
// group files, as Podman does, unless those ids have one already. An image
// without these files stays without.
func Introduce(root *os.File, name string, uid, gid int) error {
	name = strings.Map(plain, name)
	if name == "" {
		name = fmt.Sprintf("user%d", uid)
	}
	err := introduce(root, "/etc/passwd", uid, fmt.Sprintf("%s:x:%d:%d::/:/bin/sh\n", name, uid, gid))
	return errors.Join(err, introduce(root, "/etc/group", gid, fmt.Sprintf("%s:x:%d:\n", name, gid)))
}

// plain keeps what a name in passwd(5) may hold.
func plain(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' || r == '.' {
		return r
	}
	return -1
}

func introduce(root *os.File, path string, id int, line string) error {
	content, err := read(root, path)
	if err != nil || content == "" {
		return err
	}
	for fields := range entries(content, 3) {
		if fields[2] == strconv.Itoa(id) {
			return nil
		}
	}
	if !strings.HasSuffix(content, "\n") {
		line = "\n" + line
	}
	handle, err := rootfs.Find(root, path)
	if err != nil {
		return err
	}
	defer handle.Close()
	// Without O_CREAT, and of what read has just seen to be a regular file.
	f, err := os.OpenFile(linux.FDPath(handle), os.O_WRONLY|os.O_APPEND|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line)
	return errors.Join(err, f.Close())
}

// read returns the content of a small regular file of the image; one that is
// missing is empty.
func read(root *os.File, path string) (string, error) {
	handle, err := rootfs.Find(root, path)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer handle.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(handle.Fd()), &st); err != nil {
		return "", err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return "", fmt.Errorf("%s of the image is no regular file", path)
	}
	if st.Size > MaxFile {
		return "", fmt.Errorf("%s of the image has %d bytes: at most %d are read", path, st.Size, MaxFile)
	}
	f, err := os.Open(linux.FDPath(handle))
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, MaxFile))
	return string(b), err
}
