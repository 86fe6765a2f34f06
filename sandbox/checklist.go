package sandbox

import (
	"fmt"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"rootlet/sandbox/firstproc"
	"rootlet/sandbox/record"
)

// You come here from monitor.go, which has assembled the root in U1. The next
// and last stop is the execve at the end of checklist.

// first is all that the first process of a container depends on.
type first struct {
	root     string // the assembled root, as the monitor sees it
	sync     int    // descriptor on which it and the monitor take turns
	cgroups  []int  // descriptors of the cgroup.procs that it is to enter
	hostname string

	groups  [2]int // the lowest and the highest group that is mapped
	tasks   int64  // how many processes and threads there may be, about; 0: any number
	nesting int    // how many user namespaces there may be inside at a time
	// foreign are the CLONE_NEW flags of the namespaces that are not its own, but
	// another container's or the host's.
	foreign  uintptr
	others   []namespace            // those of other containers, for it to enter
	shm      *otherShm              // whose /dev/shm it has; nil: not another container's
	noQueues bool                   // no message queues to be seen: --ipc none
	hostPIDs bool                   // it has the host's pid namespace
	refused  uintptr                // CLONE_NEW flags of those that it shares for want of its own
	without  func(word string) bool // whether it may do without that; nil: without nothing
	terminal *terminal
	sandbox  bool // see sandboxed.go

	null                              int // a descriptor whose number cover may use; 0 where nothing is covered
	procMasks, procReadOnly, sysMasks []mask
	sysWritable                       bool

	program      // what it becomes
	isSelf  bool // it is rootlet, and paths do not count
	reaper  bool // it is rootlet as pid 1 over the program, and says itself whether that runs
}

// The turns that the first process and the monitor take over first.sync.
const (
	turnNamespaces = 'n' // it is in U2: write the maps, start the network
	turnReady      = 'r' // its root is done: release it once the network is
)

// lacks are what it has to do without, and tells before either of them.
var lacks = map[byte]string{turnBoundProc: record.BoundProc, turnBoundSys: record.BoundSys, turnHostUTS: record.HostUTS}

const (
	turnBoundProc = 'p'
	turnBoundSys  = 's'
	turnHostUTS   = 'u'
)

// own reports whether a namespace, by its CLONE_NEW flag, is the container's own.
func (f first) own(namespace uintptr) bool { return f.foreign&namespace == 0 }

// cloneFlags are the namespaces that the first process starts in. They belong
// to U1: /proc and its masks are mounted there, so that U2, which gets them as
// part of a copied mount tree, can never take them off (mount_namespaces(7)).
func (f first) cloneFlags() uintptr {
	return (unix.CLONE_NEWPID | unix.CLONE_NEWNS) &^ f.foreign
}

// ownFlags are the namespaces that belong to U2 and which container root rules.
func (f first) ownFlags() uintptr {
	const all = unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWNET
	return all &^ f.foreign
}

// kernelFS are the flags of every file system that is the kernel's own.
const kernelFS = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC

// checklist is everything the first process does, in order, until it is the
// user's program.
func (f first) checklist() *firstproc.Program {
	p := new(firstproc.Program)

	// In U1, with its own pid and mount namespace. It is a copy of the monitor: nobody
	// who can see it may look into it until it is the user's program (CVE-2016-9962).
	hide(p)
	f.dieWithMonitor(p)
	for _, procs := range f.cgroups {
		p.Call("enter the cgroup", unix.SYS_WRITE, []uintptr{uintptr(procs), p.String("0"), 1})
	}
	if f.own(unix.CLONE_NEWCGROUP) {
		// The group that it is in by now is the root of that. It belongs to U1, so that no
		// capability in U2 mounts a hierarchy, in which the user may have groups of his
		// (CVE-2022-0492, cgroup_namespaces(7)).
		p.Call(cgroupStep, unix.SYS_UNSHARE, []uintptr{unix.CLONE_NEWCGROUP})
	}
	p.Call("new session", unix.SYS_SETSID, nil)
	f.resetSignals(p)
	chdir(p, "enter the root", f.root)
	if f.own(unix.CLONE_NEWNET) {
		// The monitor mounts /sys, which shows a network namespace that is yet to be made;
		// nothing of what is mounted here is to reach the monitor (sysfs.go).
		mount(p, "take mounts from the monitor", "", ".", "", unix.MS_SLAVE, "")
	}
	f.mountProc(p)
	f.openNull(p)
	for _, m := range f.procMasks {
		f.cover(p, m)
	}
	for _, m := range f.procReadOnly {
		readOnly(p, m)
	}

	f.joinOthers(p)
	if !f.own(unix.CLONE_NEWNET) {
		if f.own(unix.CLONE_NEWCGROUP) {
			mount(p, "mount /sys/fs/cgroup", "cgroup", "sys/fs/cgroup", "cgroup2", kernelFS|unix.MS_RDONLY, "", noCgroup2...)
		}
		for _, m := range f.sysMasks {
			f.cover(p, m)
		}
	}

	f.boundTasks(p)

	// Into U2. Its maps are the monitor's to write: nobody may map ids that
	// are not his own. Credentials change, which clears the death signal.
	p.Call(namespacesStep, unix.SYS_UNSHARE, []uintptr{f.ownFlags()})
	p.Tell("tell the monitor of the namespaces", f.sync, turnNamespaces)
	p.Await("wait for the id maps", f.sync)
	f.dieWithMonitor(p)

	// What belongs to U2's own namespaces.
	if f.own(unix.CLONE_NEWIPC) && !f.noQueues {
		mountQueues(p)
	}
	if f.own(unix.CLONE_NEWUTS) {
		f.setHostname(p)
	}
	if f.own(unix.CLONE_NEWNET) {
		loopbackUp(p)
		f.setNetwork(p)
	}
	if f.sandbox {
		// U2 has no user namespaces below it, whatever the filter of system calls lets
		// through (namespaces(7), "The /proc/sys/user directory").
		setSysctl(p, "/proc", "user/max_user_namespaces", "0", f.mayDoWithout(record.BoundProc))
	}

	// The copied root is locked in its place; a bind of it is not, and becomes /.
	mount(p, "bind the root", ".", ".", "", unix.MS_BIND|unix.MS_REC, "")
	chdir(p, "enter the bound root", f.root)
	p.Call("pivot_root", unix.SYS_PIVOT_ROOT, []uintptr{p.String("."), p.String(".")})
	p.Call("let go of the host's root", unix.SYS_UMOUNT2, []uintptr{p.String("."), unix.MNT_DETACH})
	chdir(p, "enter /", "/")

	// Until here it was the caller, whom --userns makes another than container
	// root, or nobody: the way to the root is the caller's to walk. EINVAL: his is
	// the one id that there is, and not called 0.
	p.Call("become container root", unix.SYS_SETRESGID, []uintptr{0, 0, 0}, unix.EINVAL)
	p.Call("become container root", unix.SYS_SETRESUID, []uintptr{0, 0, 0}, unix.EINVAL)
	if f.terminal != nil {
		f.terminal.reopen(p)
		p.Call("take the terminal", unix.SYS_IOCTL, []uintptr{0, unix.TIOCSCTTY, 0})
	}

	p.Tell("tell the monitor that the root is done", f.sync, turnReady)
	p.Await("wait to be released", f.sync)

	f.keepExecutable(p)
	f.become(p)
	f.dieWithMonitor(p) // the change of ids cleared it once more

	if !f.isSelf {
		p.KeepReport()
	}
	f.loadFilter(p)
	switch {
	case f.reaper:
		p.ExecFD(execStep, programFD, f.argv, f.env)
	case f.isSelf:
		p.ExecFD("execute rootlet", programFD, f.argv, f.env)
	default:
		p.Exec(execStep, programFD, f.paths, f.argv, f.env)
	}
	return p
}

// terminal is what the first process has as its three streams under -t: the number
// of a pseudoterminal in the container's devpts, and what stat(2) says of it.
type terminal struct {
	number int
	stat   unix.Stat_t
}

// reopen has the streams lead through the container's own mounts: as the monitor
// has opened them, /proc/self/fd would show the host's path to the root, under
// which ttyname(3) finds nothing.
func (t *terminal) reopen(p *firstproc.Program) {
	const what, check = "open the terminal", "check that it is the terminal"
	st := new(unix.Stat_t)
	p.Call(what, unix.SYS_OPENAT, []uintptr{
		0, p.String(fmt.Sprintf("/dev/pts/%d", t.number)), unix.O_RDWR | unix.O_NOCTTY | unix.O_NOFOLLOW | unix.O_CLOEXEC,
	})
	p.SaveResult()
	p.CallSaved(check, unix.SYS_FSTAT, []uintptr{firstproc.Pointer(p, st)})
	p.Expect(check, &st.Mode, unix.S_IFCHR, unix.S_IFMT)
	p.Expect(check, (*uint32)(unsafe.Pointer(&st.Rdev)), uint32(t.stat.Rdev), ^uint32(0))
	p.Expect(check, (*uint32)(unsafe.Pointer(&st.Ino)), uint32(t.stat.Ino), ^uint32(0))
	for fd := range uintptr(3) {
		p.CallSaved("use the terminal", unix.SYS_DUP3, []uintptr{fd, 0})
	}
}

// execStep is the name of the step whose failure is the command's own fault,
// with the exit codes 126 and 127.
const execStep = "exec"

// hide keeps others from tracing the process, and from opening what /proc shows of it.
// Its memory belongs to U1, or to the host's user namespace, so that no capability of
// a container's outweighs this (ptrace(2), "ptrace access mode checking"). What it
// executes can be looked into again.
func hide(p *firstproc.Program) {
	p.Call("hide from tracers", unix.SYS_PRCTL, []uintptr{unix.PR_SET_DUMPABLE, 0})
}

// dieWithMonitor has the kernel kill the container should its monitor vanish.
func (f first) dieWithMonitor(p *firstproc.Program) {
	p.Call("tie its life to the monitor's", unix.SYS_PRCTL, []uintptr{unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL)})
}

// setHostname may be refused by the filter of system calls of a container around this one
// (Podman's).
func (f first) setHostname(p *firstproc.Program) {
	args := []uintptr{p.String(f.hostname), uintptr(len(f.hostname))}
	if !f.mayDoWithout(record.HostUTS) {
		p.Call(hostnameStep, unix.SYS_SETHOSTNAME, args)
		return
	}
	p.Call(hostnameStep, unix.SYS_SETHOSTNAME, args, unix.EPERM)
	p.IfDone(func() {}, func() { p.Tell("tell the monitor of the hostname", f.sync, turnHostUTS) })
}

const hostnameStep = "set the hostname"

// Where the kernel may refuse namespaces: see descent.go.
const (
	cgroupStep     = "new cgroup namespace"
	namespacesStep = "new user namespace"
)

// noCgroup2 are the answers of a host that shows no control groups of version 2.
var noCgroup2 = []unix.Errno{unix.ENODEV, unix.ENOENT, unix.EPERM, unix.EBUSY}

// mountQueues shows the message queues of the IPC namespace that it is in.
func mountQueues(p *firstproc.Program) {
	mount(p, "mount /dev/mqueue", "mqueue", "dev/mqueue", "mqueue", kernelFS, "", unix.ENODEV)
}

// sysFlags are those of a sysfs.
func (f first) sysFlags() uintptr {
	if f.sysWritable {
		return kernelFS
	}
	return kernelFS | unix.MS_RDONLY
}

// openNull opens what files are covered with, once: the device by its number, whatever
// the user has mounted in our /dev, and no symlink (CVE-2025-31133).
func (f first) openNull(p *firstproc.Program) {
	if f.null == 0 {
		return
	}
	const what, check = "open /dev/null", "check that it is /dev/null"
	st := new(unix.Stat_t)
	p.Call(what, unix.SYS_OPENAT, []uintptr{cwd, p.String("dev/null"), unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC})
	p.SaveResult()
	p.CallSaved(what, unix.SYS_DUP3, []uintptr{uintptr(f.null), unix.O_CLOEXEC})
	p.Call(check, unix.SYS_FSTAT, []uintptr{uintptr(f.null), firstproc.Pointer(p, st)})
	p.Expect(check, &st.Mode, unix.S_IFCHR, unix.S_IFMT)
	p.Expect(check, (*uint32)(unsafe.Pointer(&st.Rdev)), uint32(unix.Mkdev(1, 3)), ^uint32(0))
}

// cwd is AT_FDCWD as an argument of a system call.
const cwd = ^uintptr(-(unix.AT_FDCWD + 1))

// cover hides a path: /dev/null over a file, an empty file system over a directory.
// The former is bound by its descriptor, which /proc, ours too by now, leads to.
func (f first) cover(p *firstproc.Program, m mask) {
	if m.dir {
		mount(p, "mask /"+m.path, "tmpfs", m.path, "tmpfs", emptyFS, emptyData)
		return
	}
	mount(p, "mask /"+m.path, fmt.Sprintf("proc/self/fd/%d", f.null), m.path, "", unix.MS_BIND, "")
	mount(p, "mask /"+m.path, "", m.path, "", unix.MS_BIND|unix.MS_REMOUNT|nullFlags, "")
}

// What masks are: /dev/null, as which it is a device, and an empty file system.
const (
	nullFlags = unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NOEXEC
	emptyFS   = kernelFS | unix.MS_RDONLY
	emptyData = "size=0,nr_inodes=2"
)

func readOnly(p *firstproc.Program, m mask) {
	what := "make /" + m.path + " read-only"
	mount(p, what, m.path, m.path, "", unix.MS_BIND|unix.MS_REC, "")
	mount(p, what, "", m.path, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY|kernelFS, "")
}

// maxNesting is how many user namespaces there may be below a container's own, whatever
// capabilities it has: enough for container tools and browsers inside.
const maxNesting = 32

// boundNesting has the kernel count what is below U1, U2 too. Inside nobody has a right
// over U1, so that the bound holds where a filter does not (user_namespaces(7),
// namespaces(7) on /proc/sys/user).
func (f first) boundNesting(p *firstproc.Program, unlessReadOnly bool) {
	setSysctl(p, "proc", "user/max_user_namespaces", strconv.Itoa(1+f.nesting), unlessReadOnly)
}

// loopbackUp is netdevice(7)'s SIOCSIFFLAGS on lo.
func loopbackUp(p *firstproc.Program) {
	request := new([40]byte) // struct ifreq: name, then flags
	copy(request[:], "lo")
	request[unix.IFNAMSIZ] = unix.IFF_UP | unix.IFF_RUNNING
	p.Call("open a socket", unix.SYS_SOCKET, []uintptr{unix.AF_INET, unix.SOCK_DGRAM | unix.SOCK_CLOEXEC, 0})
	p.SaveResult()
	p.CallSaved("bring up lo", unix.SYS_IOCTL, []uintptr{unix.SIOCSIFFLAGS, firstproc.Pointer(p, request)})
	p.CallSaved("close the socket", unix.SYS_CLOSE, nil)
}

// setNetwork lets every user of the container ping, and bind ports below 1024,
// as Docker does: both are rights over its own network namespace alone. They are
// written through the host's /proc, still in sight here, which shows each
// process its own network's settings (proc_sys_net(5)).
func (f first) setNetwork(p *firstproc.Program) {
	for _, s := range [][2]string{
		{"ipv4/ping_group_range", fmt.Sprintf("%d %d", f.groups[0], f.groups[1])},
		{"ipv4/ip_unprivileged_port_start", "0"},
	} {
		setSysctl(p, "/proc", "net/"+s[0], s[1], f.mayDoWithout(record.BoundProc))
	}
}

// setSysctl writes below sys of a /proc: the container's own, or the host's while that is
// still in sight. In a container around this one the latter may be read-only.
func setSysctl(p *firstproc.Program, proc, name, value string, unlessReadOnly bool) {
	what := "set " + name
	var tolerate []unix.Errno
	if unlessReadOnly {
		tolerate = []unix.Errno{unix.EROFS}
	}
	p.Call(what, unix.SYS_OPENAT, []uintptr{cwd, p.String(proc + "/sys/" + name), unix.O_WRONLY | unix.O_CLOEXEC}, tolerate...)
	p.SaveResult()
	write := func() {
		p.CallSaved(what, unix.SYS_WRITE, []uintptr{p.String(value), uintptr(len(value))})
		p.CallSaved(what, unix.SYS_CLOSE, nil)
	}
	if unlessReadOnly {
		p.IfDone(write, func() {})
		return
	}
	write()
}

func chdir(p *firstproc.Program, what, dir string) {
	p.Call(what, unix.SYS_CHDIR, []uintptr{p.String(dir)})
}

func mount(p *firstproc.Program, what, source, target, fstype string, flags uintptr, data string, tolerate ...unix.Errno) {
	p.Call(what, unix.SYS_MOUNT, []uintptr{p.String(source), p.String(target), p.String(fstype), flags, p.String(data)}, tolerate...)
}
