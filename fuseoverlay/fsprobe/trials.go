package fsprobe

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// enough is the least room that a store is begun in: the smallest images take less.
const enough = 16 << 20

// room asks the disk, and then the quota, of which statfs(2) says nothing: blocks are
// reserved for a file that is gone again at once. What cannot reserve is believed.
func room(dir string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return err
	}
	if free := st.Bavail * uint64(st.Bsize); st.Blocks > 0 && free < enough {
		return fmt.Errorf("%d KiB are free", free>>10)
	}
	f, err := os.Create(filepath.Join(dir, "f"))
	if err != nil {
		return err
	}
	defer f.Close()
	if int64(uint32(st.Type)) == unix.TMPFS_MAGIC {
		return nil // it has no quotas but its size, and would take the memory
	}
	err = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, enough)
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return err
	}
	return nil
}

// modes looks whether each bit stays, that of set-user-ID among them.
func modes(dir string) error {
	for _, mode := range []uint32{0o4755, 0o640, 0o600} {
		path := filepath.Join(dir, "f")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			return err
		}
		if err := unix.Chmod(path, mode); err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil {
			return err
		}
		if got := st.Mode & 0o7777; got != mode {
			return fmt.Errorf("%#o became %#o", mode, got)
		}
	}
	return nil
}

// xattrs are set on a directory, as an overlay marks one, and on a file.
func xattrs(dir string) error {
	file := filepath.Join(dir, "f")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return err
	}
	for _, path := range []string{dir, file} {
		if err := unix.Lsetxattr(path, "user.overlay.opaque", []byte("y"), 0); err != nil {
			return fmt.Errorf("setxattr: %w", err)
		}
		got := make([]byte, 2)
		if n, err := unix.Lgetxattr(path, "user.overlay.opaque", got); err != nil || string(got[:n]) != "y" {
			return fmt.Errorf("getxattr: %q, %w", got[:max(0, n)], err)
		}
	}
	return nil
}

func hardLinks(dir string) error {
	one, two := filepath.Join(dir, "one"), filepath.Join(dir, "two")
	if err := os.WriteFile(one, nil, 0o600); err != nil {
		return err
	}
	if err := os.Link(one, two); err != nil {
		return err
	}
	var a, b unix.Stat_t
	if err := errors.Join(unix.Lstat(one, &a), unix.Lstat(two, &b)); err != nil {
		return err
	}
	if a.Ino != b.Ino || b.Nlink != 2 {
		return errors.New("the second name is another file")
	}
	return nil
}

func symlinks(dir string) error {
	const target = "../nowhere"
	link := filepath.Join(dir, "l")
	if err := os.Symlink(target, link); err != nil {
		return err
	}
	if got, err := os.Readlink(link); err != nil || got != target {
		return fmt.Errorf("readlink: %q, %w", got, err)
	}
	return nil
}

// cases looks whether "A" finds what was made as "a".
func cases(dir string) error {
	if err := os.WriteFile(filepath.Join(dir, "a"), nil, 0o600); err != nil {
		return err
	}
	if _, err := os.Lstat(filepath.Join(dir, "A")); err == nil {
		return errors.New("\"A\" is the file that was made as \"a\"")
	}
	return nil
}

func longNames(dir string) error {
	const most = 255 // NAME_MAX, which files of images have
	return os.WriteFile(filepath.Join(dir, strings.Repeat("n", most)), nil, 0o600)
}

func renames(dir string) error {
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	if err := errors.Join(os.WriteFile(from, []byte("new"), 0o600), os.WriteFile(to, []byte("old"), 0o600)); err != nil {
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	if got, err := os.ReadFile(to); err != nil || string(got) != "new" {
		return fmt.Errorf("read back: %q, %w", got, err)
	}
	return nil
}

// flock takes a lock twice: the second must not be had.
func flock(dir string) error {
	return twice(dir, func(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) })
}

func ofdLocks(dir string) error {
	return twice(dir, func(f *os.File) error {
		return unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
	})
}

func twice(dir string, lock func(*os.File) error) error {
	var files [2]*os.File
	for i := range files {
		f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		defer f.Close()
		files[i] = f
	}
	if err := lock(files[0]); err != nil {
		return err
	}
	if err := lock(files[1]); err == nil {
		return errors.New("two have one lock at once")
	}
	return nil
}

func tmpfile(dir string) error {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("O_TMPFILE: %w", err)
	}
	return unix.Close(fd)
}

// sockets binds one below /proc, as the path may be longer than a socket's 107 bytes.
func sockets(dir string) error {
	at, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer at.Close()
	l, err := net.Listen("unix", fmt.Sprintf("/proc/self/fd/%d/s", at.Fd()))
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err
		}
		return err
	}
	return l.Close()
}

// execute asks by access(2), which knows of a mount's noexec as execve(2) does.
func execute(dir string) error {
	path := filepath.Join(dir, "f")
	if err := os.WriteFile(path, nil, 0o700); err != nil {
		return err
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err == nil && st.Flags&unix.ST_NOEXEC != 0 {
		return errors.New("mounted noexec")
	}
	if err := unix.Access(path, unix.X_OK); err != nil {
		return fmt.Errorf("access: %w", err)
	}
	return nil
}

// owners gives away a file, a directory and a link.
func owners(id int) func(string) error {
	return func(dir string) error {
		if err := errors.Join(os.WriteFile(filepath.Join(dir, "f"), nil, 0o600), os.Mkdir(filepath.Join(dir, "d"), 0o700)); err != nil {
			return err
		}
		for _, name := range []string{"f", "d"} {
			path := filepath.Join(dir, name)
			if err := unix.Lchown(path, id, id); err != nil {
				return fmt.Errorf("chown: %w", err)
			}
			var st unix.Stat_t
			if err := unix.Lstat(path, &st); err != nil {
				return err
			}
			if int(st.Uid) != id || int(st.Gid) != id {
				return fmt.Errorf("chown to %d is %d:%d", id, st.Uid, st.Gid)
			}
		}
		return nil
	}
}
