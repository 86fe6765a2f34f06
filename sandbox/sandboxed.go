package sandbox

import (
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"rootlet/sandbox/record"
	"rootlet/sandbox/rootfs"
	"rootlet/slirp"
)

// What --sandbox comes to is said here, and mostly in terms of what can be asked for one
// by one: so it is in the record, and holds for every start, exec and health check. What
// it promises stands in docs/security.md. Of the rest, checklist.go closes user
// namespaces, landlock.go files, resolve.go has no volumes of the image's, and joined.go
// takes no exec --privileged.

// smallMounts are where a program in a sandbox can write unless the user mounts something
// there. Programs can be executed in the first two, as compilers expect.
var smallMounts = []record.Mount{
	{Type: record.Tmpfs, Target: "/tmp", Size: smallSize},
	{Type: record.Tmpfs, Target: "/var/tmp", Size: smallSize},
	{Type: record.Tmpfs, Target: "/run", Size: 16 << 20, Mode: 0o755, NoExec: true},
}

const smallSize = 64 << 20

// sandboxLog is how long its log gets, in bytes, unless the user says so.
const sandboxLog = 10_000_000

// Sandboxed makes what a user has asked for a container for code that nobody trusts.
func Sandboxed(s *record.Spec) {
	s.Sandbox = true
	s.ReadOnly, s.NoNewPrivileges = true, true
	s.CapAdd, s.CapDrop = nil, []string{"ALL"}
	s.Seccomp = record.Seccomp{Profile: record.Sandboxed}
	if len(s.Egress) == 0 {
		s.Network = slirp.None
	}
	if s.Log.Driver != record.LogNone && s.Log.MaxSize == 0 {
		s.Log.MaxSize, s.Log.Options = sandboxLog, merged(s.Log.Options, map[string]string{"max-size": strconv.Itoa(sandboxLog)})
	}
	for i := range s.Mounts {
		if m := &s.Mounts[i]; m.Type == record.Tmpfs && m.Size == 0 {
			m.Size = smallSize
		}
	}
	for _, m := range smallMounts {
		if mountOver(s, m.Target) != m.Target {
			s.Mounts = append(s.Mounts, m)
		}
	}
}

// mountOver is the innermost mount that a path is in; empty: it is in the root.
func mountOver(s *record.Spec, at string) string {
	over := ""
	for _, m := range s.Mounts {
		target := path.Clean(m.Target)
		if (at == target || strings.HasPrefix(at, target+"/")) && len(target) > len(over) {
			over = target
		}
	}
	return over
}

// addHome makes the home directory writable, in memory, where that hides nothing: many
// images keep programs there, or the application.
func (m *monitor) addHome(root *os.File) error {
	home := path.Clean(m.who.Home)
	if set := lookup(m.Spec.Process.Env, "HOME"); set != "" {
		home = path.Clean(set)
	}
	if !m.Spec.Sandbox || !path.IsAbs(home) || mountOver(&m.Spec, home) != "" {
		return nil
	}
	empty, err := nothingToHide(root, home)
	if empty {
		m.Spec.Mounts = append(m.Spec.Mounts, record.Mount{Type: record.Tmpfs, Target: home, Size: smallSize})
	}
	return err
}

// nothingToHide says whether a directory has no more in it than a new user's: .profile
// and the like. What is not there, or no directory, is not a home.
func nothingToHide(root *os.File, home string) (bool, error) {
	for _, top := range []string{"/", "/proc", "/sys", "/dev"} {
		if home == top || top != "/" && strings.HasPrefix(home, top+"/") {
			return false, nil
		}
	}
	found, err := rootfs.Find(root, home)
	if err != nil {
		return false, nil
	}
	defer found.Close()
	fd, err := unix.Openat(int(found.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, nil
	}
	dir := os.NewFile(uintptr(fd), home)
	defer dir.Close()
	entries, err := dir.ReadDir(-1)
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(entries, func(e os.DirEntry) bool { return !e.Type().IsRegular() || e.Name()[0] != '.' }), nil
}

// sandboxLimits are those of setrlimit(2) that a program in a sandbox has unless the user
// sets others. There is none on memory as a whole: RLIMIT_AS counts what Go, Java and
// node reserve and never use.
var sandboxLimits = []record.Ulimit{
	{Name: "core"},
	{Name: "memlock", Soft: 64 << 10, Hard: 64 << 10},
	{Name: "nofile", Soft: 1024, Hard: 4096},
	{Name: "nproc", Soft: 1024, Hard: 1024},
	{Name: "sigpending", Soft: 1024, Hard: 1024},
}

// Limits are a container's, as far as it has its own.
func Limits(s *record.Spec) []record.Ulimit {
	if !s.Sandbox {
		return s.Ulimits
	}
	var list []record.Ulimit
	for _, l := range sandboxLimits {
		if slices.ContainsFunc(s.Ulimits, func(u record.Ulimit) bool { return u.Name == l.Name }) {
			continue
		}
		// Nobody gets more than he had.
		var now unix.Rlimit
		if unix.Getrlimit(ulimits[l.Name], &now) == nil {
			l.Hard = int64(min(uint64(l.Hard), now.Max))
			l.Soft = min(l.Soft, l.Hard)
		}
		list = append(list, l)
	}
	return append(list, s.Ulimits...)
}
