package sandbox

import (
	"fmt"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"rootlet/sandbox/firstproc"
)

// You come here from monitor.go, which has assembled the root in U1. The next
// and last stop is the execve at the end of checklist.

// first is all that the first process of a container depends on.
type first struct {
	root     string // the assembled root, as the monitor sees it
	sync     int    // descriptor on which it and the monitor take turns
	cgroup   int    // descriptor of its cgroup's cgroup.procs, 0 where it has none
	hostname string

	groups     [2]int // the lowest and the highest group that is mapped
	nesting    int    // how many user namespaces there may be inside at a time
	ownNetwork bool   // neither the host's nor another container's
	network    int    // descriptor of the namespace of another container, 0 where it has none
	terminal   *terminal

	procMasks, procReadOnly, sysMasks []mask

	program      // what it becomes
	isSelf  bool // it is rootlet, and paths do not count
	reaper  bool // it is rootlet as pid 1 over the program, and says itself whether that runs
}

// The turns that the first process and the monitor take over first.sync.
const (
	turnNamespaces = 'n' // it is in U2: write the maps, start the network
	turnReady      = 'r' // its root is done: release it once the network is
)

// cloneFlags are the namespaces that the first process starts in. They belong
// to U1: /proc and its masks are mounted there, so that U2, which gets them as
// part of a copied mount tree, can never take them off (mount_namespaces(7)).
const cloneFlags = unix.CLONE_NEWPID | unix.CLONE_NEWNS

// ownFlags are the namespaces that belong to U2 and which container root rules.
func (f first) ownFlags() uintptr {
	flags := uintptr(unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP)
	if f.ownNetwork {
		flags |= unix.CLONE_NEWNET
	}
	return flags
}

// kernelFS are the flags of every file system that is the kernel's own.
const kernelFS = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC

// checklist is everything the first process does, in order, until it is the
// user's program.
func (f first) checklist() *firstproc.Program {
	p := new(firstproc.Program)

	// In U1, with its own pid and mount namespace.
	f.dieWithMonitor(p)
	if f.cgroup > 0 {
		// Before it makes the namespace that shows this group as the root.
		p.Call("enter the cgroup", unix.SYS_WRITE, []uintptr{uintptr(f.cgroup), p.String("0"), 1})
	}
	p.Call("new session", unix.SYS_SETSID, nil)
	f.resetSignals(p)
	chdir(p, "enter the root", f.root)
	if f.ownNetwork {
		// The monitor mounts /sys, which shows a network namespace that is yet to be made;
		// nothing of what is mounted here is to reach the monitor (sysfs.go).
		mount(p, "take mounts from the monitor", "", ".", "", unix.MS_SLAVE, "")
	}
	mount(p, "mount /proc", "proc", "proc", "proc", kernelFS, "")
	f.boundNesting(p) // before /proc/sys is read-only
	for _, m := range f.procMasks {
		cover(p, m)
	}
	for _, m := range f.procReadOnly {
		readOnly(p, m)
	}

	if f.network > 0 {
		f.joinNetwork(p)
	}
	if !f.ownNetwork {
		for _, m := range f.sysMasks {
			cover(p, m)
		}
	}

	// Into U2. Its maps are the monitor's to write: nobody may map ids that
	// are not his own. Credentials change, which clears the death signal.
	p.Call("new user namespace", unix.SYS_UNSHARE, []uintptr{f.ownFlags()})
	p.Tell("tell the monitor of the namespaces", f.sync, turnNamespaces)
	p.Await("wait for the id maps", f.sync)
	f.dieWithMonitor(p)

	// What belongs to U2's own namespaces.
	mount(p, "mount /sys/fs/cgroup", "cgroup", "sys/fs/cgroup", "cgroup2", kernelFS|unix.MS_RDONLY, "", unix.ENODEV, unix.ENOENT)
	mount(p, "mount /dev/mqueue", "mqueue", "dev/mqueue", "mqueue", kernelFS, "", unix.ENODEV)
	p.Call("set the hostname", unix.SYS_SETHOSTNAME, []uintptr{p.String(f.hostname), uintptr(len(f.hostname))})
	if f.ownNetwork {
		loopbackUp(p)
		f.setNetwork(p)
	}

	// The copied root is locked in its place; a bind of it is not, and becomes /.
	mount(p, "bind the root", ".", ".", "", unix.MS_BIND|unix.MS_REC, "")
	chdir(p, "enter the bound root", f.root)
	p.Call("pivot_root", unix.SYS_PIVOT_ROOT, []uintptr{p.String("."), p.String(".")})
	p.Call("let go of the host's root", unix.SYS_UMOUNT2, []uintptr{p.String("."), unix.MNT_DETACH})
	chdir(p, "enter /", "/")

	// Until here it was the caller, whom keep-id makes another than container
	// root: the way to the root is the caller's to walk.
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

// dieWithMonitor has the kernel kill the container should its monitor vanish.
func (f first) dieWithMonitor(p *firstproc.Program) {
	p.Call("tie its life to the monitor's", unix.SYS_PRCTL, []uintptr{unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL)})
}

// cover hides a path: /dev/null over a file, an empty file system over a
// directory. /dev/null is ours, bound from the host and checked (CVE-2025-31133).
func cover(p *firstproc.Program, m mask) {
	if m.dir {
		mount(p, "mask /"+m.path, "tmpfs", m.path, "tmpfs", emptyFS, emptyData)
		return
	}
	mount(p, "mask /"+m.path, "dev/null", m.path, "", unix.MS_BIND, "")
}

// The empty file system over a directory.
const (
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
func (f first) boundNesting(p *firstproc.Program) {
	writeSetting(p, "bound the user namespaces", "proc/sys/user/max_user_namespaces", strconv.Itoa(1+f.nesting))
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
		writeSetting(p, "set net/"+s[0], "/proc/sys/net/"+s[0], s[1])
	}
}

// here is AT_FDCWD.
const here = ^uintptr(-unix.AT_FDCWD - 1)

func writeSetting(p *firstproc.Program, what, path, value string) {
	p.Call(what, unix.SYS_OPENAT, []uintptr{here, p.String(path), unix.O_WRONLY | unix.O_CLOEXEC})
	p.SaveResult()
	p.CallSaved(what, unix.SYS_WRITE, []uintptr{p.String(value), uintptr(len(value))})
	p.CallSaved(what, unix.SYS_CLOSE, nil)
}

func chdir(p *firstproc.Program, what, dir string) {
	p.Call(what, unix.SYS_CHDIR, []uintptr{p.String(dir)})
}

func mount(p *firstproc.Program, what, source, target, fstype string, flags uintptr, data string, tolerate ...unix.Errno) {
	p.Call(what, unix.SYS_MOUNT, []uintptr{p.String(source), p.String(target), p.String(fstype), flags, p.String(data)}, tolerate...)
}
