package emulation

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// call answers one kind of call, by its arguments.
type call func(r *receiver, args [6]uint64) (int64, error)

// calls are those that seccomp.Emulation sends.
var calls = map[string]call{
	"chown":    func(r *receiver, a [6]uint64) (int64, error) { return r.chown(atCwd, a[0], 0, a[1], a[2]) },
	"lchown":   func(r *receiver, a [6]uint64) (int64, error) { return r.chown(atCwd, a[0], noFollow, a[1], a[2]) },
	"fchown":   func(r *receiver, a [6]uint64) (int64, error) { return r.chown(fd(a[0]), 0, emptyPath, a[1], a[2]) },
	"fchownat": func(r *receiver, a [6]uint64) (int64, error) { return r.chown(fd(a[0]), a[1], a[4], a[2], a[3]) },

	"stat":       func(r *receiver, a [6]uint64) (int64, error) { return r.stat(atCwd, a[0], a[1], 0) },
	"lstat":      func(r *receiver, a [6]uint64) (int64, error) { return r.stat(atCwd, a[0], a[1], noFollow) },
	"fstat":      func(r *receiver, a [6]uint64) (int64, error) { return r.stat(fd(a[0]), 0, a[1], emptyPath) },
	"newfstatat": func(r *receiver, a [6]uint64) (int64, error) { return r.stat(fd(a[0]), a[1], a[2], a[3]) },
	"statx":      func(r *receiver, a [6]uint64) (int64, error) { return r.statx(fd(a[0]), a[1], a[2], a[3], a[4]) },

	"mkdir":   func(r *receiver, a [6]uint64) (int64, error) { return r.mkdir(atCwd, a[0], a[1]) },
	"mkdirat": func(r *receiver, a [6]uint64) (int64, error) { return r.mkdir(fd(a[0]), a[1], a[2]) },

	"mknod":   func(r *receiver, a [6]uint64) (int64, error) { return r.mknod(atCwd, a[0], a[1], a[2]) },
	"mknodat": func(r *receiver, a [6]uint64) (int64, error) { return r.mknod(fd(a[0]), a[1], a[2], a[3]) },

	"getsockopt": func(r *receiver, a [6]uint64) (int64, error) { return r.peer(a) },

	"getuid": func(r *receiver, a [6]uint64) (int64, error) {
		return r.tell(func(p person) uint32 { return p.uid.real })
	},
	"geteuid": func(r *receiver, a [6]uint64) (int64, error) {
		return r.tell(func(p person) uint32 { return p.uid.effective })
	},
	"getgid": func(r *receiver, a [6]uint64) (int64, error) {
		return r.tell(func(p person) uint32 { return p.gid.real })
	},
	"getegid": func(r *receiver, a [6]uint64) (int64, error) {
		return r.tell(func(p person) uint32 { return p.gid.effective })
	},
	"getresuid": func(r *receiver, a [6]uint64) (int64, error) {
		return r.tellThree(a, func(p person) ids { return p.uid })
	},
	"getresgid": func(r *receiver, a [6]uint64) (int64, error) {
		return r.tellThree(a, func(p person) ids { return p.gid })
	},
	"getgroups": func(r *receiver, a [6]uint64) (int64, error) { return r.tellGroups(a) },

	"setuid": func(r *receiver, a [6]uint64) (int64, error) {
		return r.setUser(func(i *ids, root bool) error { return i.set(id(a[0]), root) })
	},
	"setgid": func(r *receiver, a [6]uint64) (int64, error) {
		return r.setGroup(func(i *ids, root bool) error { return i.set(id(a[0]), root) })
	},
	"setreuid": func(r *receiver, a [6]uint64) (int64, error) {
		return r.setUser(func(i *ids, root bool) error { return i.setTwo(id(a[0]), id(a[1]), root) })
	},
	"setregid": func(r *receiver, a [6]uint64) (int64, error) {
		return r.setGroup(func(i *ids, root bool) error { return i.setTwo(id(a[0]), id(a[1]), root) })
	},
	"setresuid": func(r *receiver, a [6]uint64) (int64, error) {
		return r.setUser(func(i *ids, root bool) error { return i.setThree(id(a[0]), id(a[1]), id(a[2]), root) })
	},
	"setresgid": func(r *receiver, a [6]uint64) (int64, error) {
		return r.setGroup(func(i *ids, root bool) error { return i.setThree(id(a[0]), id(a[1]), id(a[2]), root) })
	},
	"setfsuid": func(r *receiver, a [6]uint64) (int64, error) {
		return r.setFiles(func(p *person) *ids { return &p.uid }, unix.CAP_SETUID, id(a[0]))
	},
	"setfsgid": func(r *receiver, a [6]uint64) (int64, error) {
		return r.setFiles(func(p *person) *ids { return &p.gid }, unix.CAP_SETGID, id(a[0]))
	},
	"setgroups": func(r *receiver, a [6]uint64) (int64, error) { return r.setGroups(a) },
	"capset":    func(r *receiver, a [6]uint64) (int64, error) { return r.capset(a) },
}

// Flags of the calls that end in "at".
const (
	noFollow  = unix.AT_SYMLINK_NOFOLLOW
	emptyPath = unix.AT_EMPTY_PATH
)

const atCwd = unix.AT_FDCWD

// fd is a descriptor as an argument: the kernel looks at its low half.
func fd(arg uint64) int { return int(int32(arg)) }

// id likewise.
func id(arg uint64) uint32 { return uint32(arg) }

// unset stands for an id that a call leaves as it is.
const unset = ^uint32(0)

// bytesOf are those of a value that the kernel knows the layout of.
func bytesOf[T any](v *T) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v)) }
