package sandbox

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"rootlet/sandbox/firstproc"
	"rootlet/sandbox/record"
	"rootlet/userns"
)

// You come here from a command that works in the root of a running container.
// Next is opened.go, in the stage that this one starts.

// StartInside starts this very binary as c.Stage in the user namespace U1 of a
// running container, and in a mount namespace of its own, and those that c names (of
// which a pid namespace is the only one that it knows). The kernel shows a
// container's root, and what fuse-overlayfs serves, to none but the processes of
// that one namespace; a stage that userns.Plan starts has another with the same
// ids. The stage finds c.Files from descriptor 3 on.
//
// No Go program can change its user namespace, so a raw clone does it, on its
// way to execve.
func StartInside(root record.Root, id string, c userns.Command) (*os.Process, error) {
	return startInside(root, id, c, nil)
}

// startInside is StartInside of a stage that is to be in a pid namespace that is there;
// nil: in the caller's, or a new one.
func startInside(root record.Root, id string, c userns.Command, pids *os.File) (*os.Process, error) {
	p, err := inside(root, id, c, pids)
	if err != nil {
		return nil, fmt.Errorf("start %s in container %s: %w", c.Stage, id[:12], err)
	}
	return p, nil
}

func inside(root record.Root, id string, c userns.Command, pids *os.File) (*os.Process, error) {
	u1, err := userNamespace(root, id)
	if err != nil {
		return nil, err
	}
	defer u1.Close()
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		return nil, err
	}
	defer self.Close()
	files, err := outOfTheWay(c)
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, fd := range files {
			unix.Close(fd)
		}
	}()
	return stageIn(u1, pids, self, files, c)
}

// stageIn makes the clone that enters u1 and becomes the stage.
func stageIn(u1, pids, self *os.File, files []int, c userns.Command) (*os.Process, error) {
	var open handles
	defer open.close()
	socket, between, err := socketFor(&open)
	if err != nil {
		return nil, err
	}
	defer socket.Close()
	p := new(firstproc.Program)
	p.Call("enter the container's user namespace", unix.SYS_SETNS, []uintptr{u1.Fd(), unix.CLONE_NEWUSER})
	p.Call("new mount namespace", unix.SYS_UNSHARE, []uintptr{unix.CLONE_NEWNS | c.Namespaces})
	forks := pids != nil || c.Namespaces&unix.CLONE_NEWPID != 0
	if pids != nil {
		p.Call("choose the pid namespace", unix.SYS_SETNS, []uintptr{pids.Fd(), unix.CLONE_NEWPID})
	}
	if forks {
		// It is entered by children only (pid_namespaces(7)).
		p.ForkSibling("enter the pid namespace", between)
	}
	p.Call("new session", unix.SYS_SETSID, nil)
	// The last file to go to its place takes that of the report: what fails after
	// it is seen by the silence of the stage.
	for i := len(files) - 1; i >= 3; i-- {
		p.Call("hand over a file", unix.SYS_DUP3, []uintptr{uintptr(files[i]), uintptr(i), 0})
	}
	p.ExecFD("execute rootlet", int(self.Fd()), []string{c.Stage}, os.Environ())
	process, err := firstproc.Start(p, 0, [3]int{files[0], files[1], files[2]})
	if err != nil {
		return nil, err
	}
	open.close()
	pid := process.PID
	if forks {
		if pid, err = sibling(socket, process); err != nil {
			return nil, err
		}
	}
	if err := process.Executed(); err != nil {
		_, _ = collect(pid)
		return nil, userns.Diagnose(err)
	}
	return os.FindProcess(pid) // our child, not yet waited for
}

// sibling is the pid of what a process has left to us in its place, which is gone then.
func sibling(socket *os.File, process *firstproc.Process) (int, error) {
	child, err := firstproc.AwaitChild(socket)
	if err != nil {
		err = errors.Join(process.Executed(), err)
	}
	_, _ = collect(process.PID)
	if err != nil {
		return 0, userns.Diagnose(err)
	}
	unix.Close(child.PIDFD)
	return child.PID, nil
}

// outOfTheWay copies a stage's files to where none is in the place of another.
func outOfTheWay(c userns.Command) ([]int, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	var copies []int
	for _, f := range append([]*os.File{c.Stdin, c.Stdout, c.Stderr}, c.Files...) {
		if f == nil {
			f = null
		}
		const above = 32
		fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, above)
		if err != nil {
			return nil, fmt.Errorf("copy descriptor of %s: %w", f.Name(), err)
		}
		copies = append(copies, fd)
	}
	return copies, nil
}

// userNamespace opens U1 of a running container: of the user namespaces from its first
// process's up the one that is a child of ours.
func userNamespace(root record.Root, id string) (*os.File, error) {
	var u1 *os.File
	err := ofFirstProcess(root, id, func(dir string) error {
		var open handles
		defer open.close()
		list, err := userNamespaces(dir, &open)
		if err != nil {
			return err
		}
		fd, err := unix.FcntlInt(uintptr(list[len(list)-1]), unix.F_DUPFD_CLOEXEC, aboveAll)
		if err != nil {
			return err
		}
		u1 = os.NewFile(uintptr(fd), "user namespace")
		return nil
	})
	return u1, err
}

// ofFirstProcess has open look into /proc/PID of a running container's first
// process, and is sure afterwards that it was that one: the descriptor of the
// process was opened before the record was read again, and the process is still
// there after all has been opened.
func ofFirstProcess(root record.Root, id string, open func(dir string) error) error {
	state, err := root.Live(id)
	if err != nil {
		return err
	}
	if !state.Status.Up() {
		return ErrNotRunning
	}
	pidfd, err := unix.PidfdOpen(state.PID, 0)
	if err != nil {
		return ErrNotRunning
	}
	defer unix.Close(pidfd)
	again, err := root.Live(id)
	if err != nil || !again.Status.Up() || again.PID != state.PID {
		return errors.Join(ErrNotRunning, err)
	}
	if err := open(fmt.Sprintf("/proc/%d", state.PID)); err != nil {
		if dying(state) {
			return ErrNotRunning
		}
		return err
	}
	if dying(again) {
		return ErrNotRunning
	}
	return nil
}
