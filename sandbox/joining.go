package sandbox

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"rootlet/sandbox/firstproc"
)

// You come here from joined.go, which has opened the way into a container that
// runs (target.go). The next and last stop is the execve at the end of checklist.

// joiner is all that a process which joins a container depends on. It is cloned
// from the command that the user typed, or from the container's monitor.
type joiner struct {
	way     way   // into the container
	cgroups []int // where its cgroups take processes; none: it has none, or begins there

	child    int // where the process in between tells of the program
	terminal *newTerminal

	program // what it becomes
}

// newTerminal is a terminal that the joiner makes inside.
type newTerminal struct {
	socket int // where its other end, the one that rules it, is sent
	size   unix.Winsize
}

// Descriptors of a joiner, above those of firstproc and program.
const (
	childFD   = programFD + 1
	heldFD    = programFD + 2 // the way to root emulation
	consoleFD = programFD + 3
)

// checklist is everything the joiner does, in order, until it is the user's
// program.
func (j joiner) checklist() *firstproc.Program {
	p := new(firstproc.Program)

	// It is a copy of the process that it was cloned from, and must not be
	// looked into from the moment that the container can see it: its memory, its
	// environment, what it was executed from (CVE-2016-9962).
	hide(p)
	forgetArguments(p)
	// Ctrl-C and Ctrl-Z at the user's terminal are for his command alone.
	p.Call("new session", unix.SYS_SETSID, nil)
	j.resetSignals(p)
	j.enterCgroups(p)

	j.way.enter(p)
	// With --userns the caller is another than container root inside, or nobody; with
	// one id there may be no root (EINVAL).
	p.Call("become container root", unix.SYS_SETRESGID, []uintptr{0, 0, 0}, unix.EINVAL)
	p.Call("become container root", unix.SYS_SETRESUID, []uintptr{0, 0, 0}, unix.EINVAL)
	if j.terminal != nil {
		j.openTerminal(p)
	}

	// Whatever of the host is still open is closed before there is a process
	// that the container can see.
	j.keepExecutable(p)
	p.Call("keep the way back", unix.SYS_DUP3, []uintptr{uintptr(j.child), childFD, unix.O_CLOEXEC})
	above := uintptr(childFD + 1)
	if j.hasEmulator() {
		j.keepEmulator(p, heldFD)
		j.emulated = &emulated{filter: j.emulated.filter, socket: heldFD}
		above = heldFD + 1
	}
	p.Call("close all other descriptors", unix.SYS_CLOSE_RANGE, []uintptr{above, ^uintptr(0), 0}, unix.ENOSYS, unix.EPERM)
	p.Fork("enter the container's pid namespace", childFD)

	// In all of the container's namespaces.
	p.Call("new session", unix.SYS_SETSID, nil)
	if j.terminal != nil {
		p.Call("take the terminal", unix.SYS_IOCTL, []uintptr{0, unix.TIOCSCTTY, 0})
	}
	j.become(p)

	p.KeepReport()
	j.loadFilter(p)
	p.Exec(execStep, programFD, j.paths, j.argv, j.env)
	return p
}

// forgetArguments clears the copy of what the user typed, which /proc/PID/cmdline shows
// to everybody, tracer or not. /dev/zero is where a system call gets zeros from.
func forgetArguments(p *firstproc.Program) {
	const what = "forget the command line"
	args := os.Args
	for len(args) > 1 && args[len(args)-1] == "" {
		args = args[:len(args)-1]
	}
	last := args[len(args)-1]
	// They lie one behind the other, as the kernel has put them.
	begin := uintptr(unsafe.Pointer(unsafe.StringData(args[0])))
	end := uintptr(unsafe.Pointer(unsafe.StringData(last))) + uintptr(len(last))
	p.Call(what, unix.SYS_OPENAT, []uintptr{cwd, p.String("/dev/zero"), unix.O_RDONLY | unix.O_CLOEXEC})
	p.SaveResult()
	p.CallSaved(what, unix.SYS_READ, []uintptr{begin, end - begin})
	p.CallSaved(what, unix.SYS_CLOSE, nil)
}

// enterCgroups has what a container may use, and what pauses it, hold for the
// joiner. Where the user's session and the container are in parts of the tree
// that he does not own both of, the kernel refuses (cgroups(7), delegation).
func (j joiner) enterCgroups(p *firstproc.Program) {
	for _, procs := range j.cgroups {
		p.Call("enter the container's cgroup", unix.SYS_WRITE, []uintptr{uintptr(procs), p.String("0"), 1},
			unix.EACCES, unix.EPERM, unix.ENOENT)
	}
}

const devptsMagic = 0x1cd1

// openTerminal makes a pseudoterminal in the container's own devpts, and sends
// its other end back. Anything may be mounted over /dev/pts by a container that
// is allowed to: what is there is looked at, and the peer is got by descriptor
// and not by path (TIOCGPTPEER, Linux 4.13; CVE-2025-52565).
func (j joiner) openTerminal(p *firstproc.Program) {
	const what = "open a terminal"
	// open(2) must not happen to choose this number.
	p.Call(what, unix.SYS_DUP3, []uintptr{0, consoleFD, unix.O_CLOEXEC})
	p.Call(what, unix.SYS_OPENAT, []uintptr{
		0, p.String("/dev/pts/ptmx"),
		unix.O_RDWR | unix.O_NOCTTY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC,
	})
	p.SaveResult()
	p.CallSaved(what, unix.SYS_DUP3, []uintptr{consoleFD, unix.O_CLOEXEC})

	const check = "check that /dev/pts/ptmx makes terminals"
	st, fs := new(unix.Stat_t), new(unix.Statfs_t)
	p.Call(check, unix.SYS_FSTAT, []uintptr{consoleFD, firstproc.Pointer(p, st)})
	p.Expect(check, &st.Mode, unix.S_IFCHR, unix.S_IFMT)
	p.Expect(check, (*uint32)(unsafe.Pointer(&st.Rdev)), uint32(unix.Mkdev(5, 2)), ^uint32(0))
	p.Call(check, unix.SYS_FSTATFS, []uintptr{consoleFD, firstproc.Pointer(p, fs)})
	p.Expect(check, (*uint32)(unsafe.Pointer(&fs.Type)), devptsMagic, ^uint32(0))

	locked := new(int32)
	p.Call("unlock the terminal", unix.SYS_IOCTL, []uintptr{consoleFD, unix.TIOCSPTLCK, firstproc.Pointer(p, locked)})
	if j.terminal.size.Row > 0 {
		p.Call("set the terminal's size", unix.SYS_IOCTL, []uintptr{consoleFD, unix.TIOCSWINSZ, firstproc.Pointer(p, &j.terminal.size)})
	}
	p.Call("open the terminal's other end", unix.SYS_IOCTL, []uintptr{consoleFD, unix.TIOCGPTPEER, unix.O_RDWR | unix.O_NOCTTY | unix.O_CLOEXEC})
	p.SaveResult()
	for fd := range uintptr(3) {
		p.CallSaved("use the terminal", unix.SYS_DUP3, []uintptr{fd, 0})
	}
	p.Call("give the terminal to the user", unix.SYS_FCHOWN, []uintptr{0, uintptr(j.who.UID), ^uintptr(0)})
	sendDescriptor(p, "send the terminal", j.terminal.socket, consoleFD)
}

// sendDescriptor appends a sendmsg(2) with a descriptor in it (unix(7)).
func sendDescriptor(p *firstproc.Program, what string, socket, fd int) {
	message := &unix.Msghdr{Iov: &unix.Iovec{Base: new(byte)}, Iovlen: 1}
	message.Iov.SetLen(1)
	rights := unix.UnixRights(fd)
	message.Control = &rights[0]
	message.SetControllen(len(rights))
	p.Call(what, unix.SYS_SENDMSG, []uintptr{uintptr(socket), firstproc.Pointer(p, message), unix.MSG_NOSIGNAL})
}
