package watch

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Processes are those of a container, as a /proc shows them that has few others: one of
// the monitor's own pid namespace, which nothing of the container's ever leaves, whoever
// its parent is and whoever has it started by exec.
type Processes struct {
	dir   *os.File
	root  string // path of dir
	own   string // the namespace of the monitor and its helpers
	lists func() ([]int, error)
}

// Own opens a /proc of the caller's pid namespace, mounted nowhere. A host whose own /proc
// is partly covered refuses that (mount_namespaces(7)).
func Own() (*Processes, error) {
	fs, err := unix.Fsopen("proc", unix.FSOPEN_CLOEXEC) // Linux 5.2
	if err != nil {
		return nil, fmt.Errorf("fsopen proc: %w", err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigCreate(fs); err != nil {
		return nil, fmt.Errorf("make a proc: %w", err)
	}
	mount, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
	if err != nil {
		return nil, fmt.Errorf("fsmount proc: %w", err)
	}
	defer unix.Close(mount) // as by O_PATH: it cannot be read
	fd, err := unix.Openat(mount, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open the proc: %w", err)
	}
	p := &Processes{dir: os.NewFile(uintptr(fd), "proc"), root: fmt.Sprintf("/proc/self/fd/%d", fd)}
	if p.own, err = os.Readlink(filepath.Join(p.root, "self/ns/pid")); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// Listed are the processes that list gives, by the numbers of the host's /proc: for a
// container whose pid namespace is not its own.
func Listed(list func() ([]int, error)) (*Processes, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	return &Processes{dir: dir, root: "/proc", lists: list}, nil
}

// Close lets go of the /proc.
func (p *Processes) Close() error { return p.dir.Close() }

// PIDs lists them, by the numbers of that /proc.
func (p *Processes) PIDs() ([]int, error) {
	if p.lists != nil {
		return p.lists()
	}
	if _, err := p.dir.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	names, err := p.dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		// One that has ended is in no namespace any more.
		if in, err := os.Readlink(p.path(pid, "ns/pid")); err == nil && in != p.own {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

func (p *Processes) path(pid int, name string) string {
	return p.root + "/" + strconv.Itoa(pid) + "/" + name
}

// Signal signals one of them. What it has been told to be it is looked up to be again by
// a descriptor: its number may be another's by now, though none of another container's.
func (p *Processes) Signal(pid int, signal unix.Signal) error {
	fd, err := unix.Openat(int(p.dir.Fd()), strconv.Itoa(pid), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil // gone
	}
	defer unix.Close(fd)
	if in, err := os.Readlink(p.path(pid, "ns/pid")); err != nil || p.lists == nil && in == p.own {
		return nil
	}
	// A directory of /proc stands for its process as a pidfd does (pidfd_send_signal(2)).
	if err := unix.PidfdSendSignal(fd, signal, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("signal process %d: %w", pid, err)
	}
	return nil
}

// fields splits a line of /proc/PID/stat behind the command, which may hold anything:
// the first is field 3.
func fields(line string) []string {
	return strings.Fields(line[strings.LastIndexByte(line, ')')+1:])
}
