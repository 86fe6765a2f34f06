package sandbox

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"rootlet/sandbox/firstproc"
	"rootlet/sandbox/identity"
	"rootlet/sandbox/seccomp"
)

// program is what a process of a container becomes, its first one (checklist.go)
// or one that joins it later (joining.go): the user's program, and what that is
// left with.
type program struct {
	workDir string
	who     identity.Identity

	setGroups       bool // setgroups(2) is allowed in this user namespace
	noNewPrivileges bool
	caps            capSet
	ruleset         *ruleset        // of files; nil: none
	filter          *seccomp.Filter // of system calls; nil: none
	emulated        *emulated       // root emulation; nil: none
	pinned          *seccomp.Filter // that keeps it on its processors; nil: there is none
	processors      []int           // that it is tied to; none: to no special ones
	nice            int
	limits          []limit
	ignored         []int // signals that the user's shell had us ignore

	argv, env  []string
	paths      []string // candidates for argv[0], in $PATH's order
	executable int      // descriptor of what is executed: the trampoline, or a sealed copy of rootlet
}

type limit struct {
	resource int
	value    unix.Rlimit
}

// Steps whose failure is the request's own fault.
const (
	enterStep    = "enter the working directory " // and its path
	setGroupStep = "set the group"
	setUserStep  = "set the user"
)

// programFD is where the executable waits.
const programFD = firstproc.ErrorFD + 1

// keepExecutable moves the executable out of the way of become.
func (g program) keepExecutable(p *firstproc.Program) {
	p.Call("keep the executable", unix.SYS_DUP3, []uintptr{uintptr(g.executable), programFD, unix.O_CLOEXEC})
}

// become is everything from where nothing of the host is needed any more to
// where only the filter of system calls and execve are left.
func (g program) become(p *firstproc.Program) {
	// A session keyring of its own: the caller's would let it read the user's
	// keys (keyrings(7)).
	p.Call("new session keyring", unix.SYS_KEYCTL, []uintptr{unix.KEYCTL_JOIN_SESSION_KEYRING, 0}, unix.ENOSYS)
	if len(g.processors) > 0 {
		set := setOf(g.processors)
		p.Call("tie it to its processors", unix.SYS_SCHED_SETAFFINITY, []uintptr{0, unsafe.Sizeof(set), firstproc.Pointer(p, &set)})
	}
	if g.nice > 0 {
		p.Call("give it less weight", unix.SYS_SETPRIORITY, []uintptr{unix.PRIO_PROCESS, 0, uintptr(g.nice)}, unix.EACCES) // it has less
	}
	for _, l := range g.limits {
		p.Call("set a resource limit", unix.SYS_PRLIMIT64, []uintptr{0, uintptr(l.resource), firstproc.Pointer(p, &l.value), 0})
	}

	// Descriptors are closed, not only marked, and before the first path that
	// an image chose is followed: a working directory of /proc/self/fd/N leads
	// nowhere then (CVE-2024-21626). ErrorFD closes at execve. close_range(2) is
	// Linux 5.9, and filters older than it answer EPERM; without it every descriptor
	// is still close-on-exec: this process
	// or the one it was cloned from saw to that when it began.
	above := uintptr(programFD + 1)
	if g.hasEmulator() {
		g.keepEmulator(p, emulationFD)
		above = emulationFD + 1
	}
	p.Call("close all descriptors", unix.SYS_CLOSE_RANGE, []uintptr{above, ^uintptr(0), 0}, unix.ENOSYS, unix.EPERM)
	p.Call("set the umask", unix.SYS_UMASK, []uintptr{0o022})
	g.enterWorkDir(p)

	g.dropRights(p)
	if g.ruleset != nil {
		g.ruleset.enforce(p)
	}
}

// enterWorkDir enters a directory that an image chose; the monitor has made it
// where it was missing.
func (g program) enterWorkDir(p *firstproc.Program) {
	chdir(p, enterStep+g.workDir, g.workDir)
	p.ExpectAbsoluteCwd("check the working directory " + g.workDir)
}

// dropRights leaves the program the capabilities and ids that it shall have.
// The bounding set goes first, while CAP_SETPCAP is there; inheritable and
// ambient are empty in the end (CVE-2022-29162).
func (g program) dropRights(p *firstproc.Program) {
	for n := range len(capNames) {
		if g.caps&(1<<n) == 0 {
			// EINVAL: the kernel is older than the capability.
			p.Call("drop CAP_"+capNames[n], unix.SYS_PRCTL, []uintptr{unix.PR_CAPBSET_DROP, uintptr(n)}, unix.EINVAL)
		}
	}
	if g.setGroups {
		groups := make([]uint32, len(g.who.Groups)+1)
		for i, gid := range g.who.Groups {
			groups[i] = uint32(gid)
		}
		p.Call("set supplementary groups", unix.SYS_SETGROUPS, []uintptr{uintptr(len(g.who.Groups)), firstproc.Pointer(p, &groups[0])})
	}
	needsAdmin := (g.filter != nil || g.emulated != nil) && !g.noNewPrivileges
	if needsAdmin {
		// Another user than root has none after the next calls, without this.
		p.Call("keep capabilities", unix.SYS_PRCTL, []uintptr{unix.PR_SET_KEEPCAPS, 1, 0, 0, 0})
	}
	uid, gid := uintptr(g.who.UID), uintptr(g.who.GID)
	p.Call(setGroupStep, unix.SYS_SETRESGID, []uintptr{gid, gid, gid})
	p.Call(setUserStep, unix.SYS_SETRESUID, []uintptr{uid, uid, uid})

	// Root gets its permitted set from the bounding set at execve; another user
	// gets nothing unless from a file's capabilities.
	var caps uint64
	if g.who.UID == 0 {
		caps = uint64(g.caps)
	}
	if needsAdmin {
		// For the filter, and for as long: execve(2) gives each what the lines above
		// say, whatever was there before it, and takes KEEPCAPS back.
		caps |= 1 << unix.CAP_SYS_ADMIN
	}
	header := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := &[2]unix.CapUserData{
		{Effective: uint32(caps), Permitted: uint32(caps)},
		{Effective: uint32(caps >> 32), Permitted: uint32(caps >> 32)},
	}
	p.Call("set capabilities", unix.SYS_CAPSET, []uintptr{firstproc.Pointer(p, header), firstproc.Pointer(p, data)})
	if g.noNewPrivileges {
		p.Call("set no_new_privs", unix.SYS_PRCTL, []uintptr{unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0})
	}
}

// resetSignals undoes what nohup(1) and the like leave behind, and what the monitor
// has blocked for its sleep; caught signals are reset by execve anyway.
func (g program) resetSignals(p *firstproc.Program) {
	for _, signal := range g.ignored {
		byDefault := new([32]byte) // struct kernel_sigaction, SIG_DFL and no flags
		p.Call("reset a signal", unix.SYS_RT_SIGACTION, []uintptr{uintptr(signal), firstproc.Pointer(p, byDefault), 0, 8})
	}
	p.Call("unblock all signals", unix.SYS_RT_SIGPROCMASK, []uintptr{unix.SIG_SETMASK, firstproc.Pointer(p, new(uint64)), 0, 8})
}
