package sandbox

import (
	"path"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"rootlet/internal/landlock"
	"rootlet/sandbox/firstproc"
	"rootlet/sandbox/record"
)

// ruleset says what a program in a sandbox may do to files, once more, for the kernel to
// check on the way to each file (landlock(7)): were a mount writable that should not be,
// or a new one made, it would not help. It has nothing about TCP, which would close the
// loopback, too, nor scopes: the namespaces are those, and a program of exec's is to send
// signals to the first one.
type ruleset struct {
	handled uint64
	rules   []pathRule
}

// pathRule opens something below a path, or at one that is a file.
type pathRule struct {
	path   string
	access uint64
}

const (
	mayRead   = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	mayWrite  = unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE
	mayChange = unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE | unix.LANDLOCK_ACCESS_FS_MAKE_DIR |
		unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK | unix.LANDLOCK_ACCESS_FS_MAKE_FIFO |
		unix.LANDLOCK_ACCESS_FS_MAKE_SYM | unix.LANDLOCK_ACCESS_FS_REFER
	mayMakeDevices = unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK
)

// confinement is a container's ruleset, and the version of Landlock that it is made for;
// nil and 0: it has none.
func confinement(s *record.Spec) (*ruleset, int) {
	if !s.Sandbox {
		return nil, 0
	}
	version, _ := landlock.ABI()
	return rulesetFor(s, version), version
}

// rulesetFor is a container's under a version of Landlock; nil: it has none.
func rulesetFor(s *record.Spec, version int) *ruleset {
	if !s.Sandbox || version == 0 {
		return nil
	}
	const all = mayRead | mayWrite | mayChange | mayMakeDevices | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	r := &ruleset{handled: all & landlock.FileRights(version)}
	r.open("/", mayRead)
	r.open("/proc", mayWrite) // a thread's name; what is the system's is read-only there
	r.open("/dev", mayWrite|unix.LANDLOCK_ACCESS_FS_IOCTL_DEV)
	for _, m := range append([]record.Mount{{Target: "/dev/shm"}}, s.Mounts...) {
		if !m.ReadOnly {
			r.open(path.Clean(m.Target), mayWrite)
			r.open(path.Clean(m.Target), mayChange)
		}
	}
	return r
}

func (r *ruleset) open(path string, access uint64) {
	r.rules = append(r.rules, pathRule{path, access & r.handled})
}

// Descriptors of enforce, which is after all others are closed. They are some way above
// those, so that open(2) does not choose them.
const (
	rulesetFD = programFD + 8
	placeFD   = programFD + 9
)

const landlockStep = "confine to some files"

// enforce takes no_new_privs.
func (r *ruleset) enforce(p *firstproc.Program) {
	p.Call(landlockStep, unix.SYS_LANDLOCK_CREATE_RULESET, []uintptr{firstproc.Pointer(p, &r.handled), unsafe.Sizeof(r.handled), 0})
	moveSaved(p, rulesetFD)
	for _, rule := range r.rules {
		what := landlockStep + ": " + rule.path
		// A place that this user does not get to needs no rule.
		p.Call(what, unix.SYS_OPENAT, []uintptr{0, p.String(rule.path), unix.O_PATH | unix.O_CLOEXEC}, unix.ENOENT, unix.ENOTDIR, unix.EACCES)
		moveSaved(p, placeFD, unix.EBADF)
		beneath := &unix.LandlockPathBeneathAttr{Allowed_access: rule.access, Parent_fd: placeFD}
		// EINVAL: it is a file, in which nothing is made.
		p.Call(what, unix.SYS_LANDLOCK_ADD_RULE, []uintptr{rulesetFD, unix.LANDLOCK_RULE_PATH_BENEATH, firstproc.Pointer(p, beneath), 0}, unix.EBADF, unix.EINVAL)
		p.Call(what, unix.SYS_CLOSE, []uintptr{placeFD}, unix.EBADF)
	}
	p.Call(landlockStep, unix.SYS_LANDLOCK_RESTRICT_SELF, []uintptr{rulesetFD, 0})
	p.Call(landlockStep, unix.SYS_CLOSE, []uintptr{rulesetFD})
}

// moveSaved gives the descriptor that the last call has made a number that is known.
func moveSaved(p *firstproc.Program, fd uintptr, tolerate ...syscall.Errno) {
	p.SaveResult()
	p.CallSaved(landlockStep, unix.SYS_DUP3, []uintptr{fd, unix.O_CLOEXEC}, tolerate...)
	p.CallSaved(landlockStep, unix.SYS_CLOSE, nil, tolerate...)
}
