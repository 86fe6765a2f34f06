package watch

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

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

// Process is one of them.
type Process struct {
	PID int // by the number of that /proc
	dir string
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
	return within(os.NewFile(uintptr(fd), "proc"), fmt.Sprintf("/proc/self/fd/%d", fd))
}

// within takes a /proc that shows the caller's pid namespace.
func within(dir *os.File, root string) (*Processes, error) {
	p := &Processes{dir: dir, root: root}
	var err error
	if p.own, err = os.Readlink(root + "/self/ns/pid"); err != nil {
		return nil, errors.Join(err, dir.Close())
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

// Numbered reports whether their numbers are those that the caller's system calls take.
func (p *Processes) Numbered() bool { return p.lists == nil }

// All lists them.
func (p *Processes) All() ([]Process, error) {
	var found []Process
	if p.lists != nil {
		pids, err := p.lists()
		for _, pid := range pids {
			found = append(found, Process{pid, p.root + "/" + strconv.Itoa(pid)})
		}
		return found, err
	}
	if _, err := p.dir.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	names, err := p.dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if dir, in := p.alive(p.root + "/" + name); dir != "" && in != p.own {
			found = append(found, Process{pid, dir})
		}
	}
	return found, nil
}

// alive is the directory of a process that tells of it, and the pid namespace that it is
// in. One whose first thread has ended has only what its other threads' say.
func (p *Processes) alive(dir string) (alive, namespace string) {
	if in, err := os.Readlink(dir + "/ns/pid"); err == nil {
		return dir, in
	}
	for _, tid := range entries(dir + "/task") {
		thread := dir + "/task/" + tid
		if in, err := os.Readlink(thread + "/ns/pid"); err == nil {
			return thread, in
		}
	}
	return "", "" // it has ended
}

// entries are the names in a directory of /proc that are numbers.
func entries(path string) []string {
	dir, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil
	}
	numbers := names[:0]
	for _, name := range names {
		if _, err := strconv.Atoi(name); err == nil {
			numbers = append(numbers, name)
		}
	}
	return numbers
}

// Threads are the numbers of a process's.
func (p *Processes) Threads(of Process) []int {
	var tids []int
	for _, name := range entries(p.root + "/" + strconv.Itoa(of.PID) + "/task") {
		if tid, err := strconv.Atoi(name); err == nil {
			tids = append(tids, tid)
		}
	}
	return tids
}

// Kill ends one of them, if the number is still that of one.
func (p *Processes) Kill(victim Process) error {
	fd, err := unix.Openat(int(p.dir.Fd()), strconv.Itoa(victim.PID), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil // gone
	}
	defer unix.Close(fd)
	if dir, in := p.alive(fmt.Sprintf("/proc/self/fd/%d", fd)); dir == "" || p.lists == nil && in == p.own {
		return nil
	}
	// A directory of /proc stands for its process as a pidfd does (pidfd_send_signal(2)).
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill process %d: %w", victim.PID, err)
	}
	return nil
}
