package integration

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tracer runs a command by ptrace(2) and is asked at each system call by which
// it, or a process that it started, is about to change something below a
// directory. strace(1) can kill and fail calls as well, but counts them by
// thread, and a Go program is never twice in the same threads.
type tracer struct {
	below string
	at    func(call) fate

	roots   map[int]bool          // threads that are followed
	groups  map[int]int           // thread: its process
	failing map[int]syscall.Errno // thread: what the call that it is in is to return
	seen    map[string]bool       // files that were opened to be made
	calls   int
}

// call is one that is about to be made.
type call struct {
	n       int // of all, from 1
	process int
	name    string
	path    string // below the directory; empty for the directory itself
}

// String says which it is, with nothing in it that is drawn by lot.
func (c call) String() string { return c.name + " " + c.path }

// fate is what becomes of a call.
type fate struct {
	kill  []int         // processes
	errno syscall.Errno // that it fails with, instead of being made; 0 for none
}

// changing are the calls that change files, by number: the places of their
// arguments that say which file, -1 for none. A second name, as of rename, is
// not looked at.
var changing = map[uint64]struct {
	name     string
	dir, arg int // descriptor, name below it
}{
	unix.SYS_OPENAT: {"openat", 0, 1}, unix.SYS_OPENAT2: {"openat2", 0, 1},
	unix.SYS_MKDIRAT: {"mkdirat", 0, 1}, unix.SYS_MKNODAT: {"mknodat", 0, 1}, unix.SYS_UNLINKAT: {"unlinkat", 0, 1},
	unix.SYS_RENAMEAT: {"renameat", 0, 1}, unix.SYS_RENAMEAT2: {"renameat2", 0, 1}, unix.SYS_LINKAT: {"linkat", 2, 3},
	unix.SYS_SYMLINKAT: {"symlinkat", 1, 2}, unix.SYS_FCHMODAT: {"fchmodat", 0, 1}, unix.SYS_FCHMODAT2: {"fchmodat2", 0, 1},
	unix.SYS_FCHOWNAT: {"fchownat", 0, 1}, unix.SYS_UTIMENSAT: {"utimensat", 0, 1},
	unix.SYS_WRITE: {"write", 0, -1}, unix.SYS_PWRITE64: {"pwrite64", 0, -1}, unix.SYS_WRITEV: {"writev", 0, -1},
	unix.SYS_FSYNC: {"fsync", 0, -1}, unix.SYS_FDATASYNC: {"fdatasync", 0, -1}, unix.SYS_SYNCFS: {"syncfs", 0, -1},
	unix.SYS_FTRUNCATE: {"ftruncate", 0, -1}, unix.SYS_FALLOCATE: {"fallocate", 0, -1}, unix.SYS_FCHMOD: {"fchmod", 0, -1},
	unix.SYS_FCHOWN: {"fchown", 0, -1}, unix.SYS_FSETXATTR: {"fsetxattr", 0, -1}, unix.SYS_COPY_FILE_RANGE: {"copy_file_range", 2, -1},
	unix.SYS_MKDIR: {"mkdir", -1, 0}, unix.SYS_RENAME: {"rename", -1, 0}, unix.SYS_UNLINK: {"unlink", -1, 0},
	unix.SYS_RMDIR: {"rmdir", -1, 0}, unix.SYS_LINK: {"link", -1, 1}, unix.SYS_SYMLINK: {"symlink", -1, 1},
	unix.SYS_CHMOD: {"chmod", -1, 0}, unix.SYS_LCHOWN: {"lchown", -1, 0}, unix.SYS_CHOWN: {"chown", -1, 0},
	unix.SYS_SETXATTR: {"setxattr", -1, 0}, unix.SYS_LSETXATTR: {"lsetxattr", -1, 0},
}

// onThread runs what traces, on a thread of its own: ptrace(2) binds tracees to
// their tracer's, and what is waited for there must be nobody else's child.
func onThread(all *sync.WaitGroup, do func()) {
	all.Go(func() {
		runtime.LockOSThread() // for ever: the thread ends with the goroutine
		do()
	})
}

// trace runs a command and returns its exit code, as a shell would. Its output
// must not be a pipe of this process's. below has no symbolic links in it. It is
// called by way of onThread.
func trace(t *testing.T, c *exec.Cmd, below string, at func(call) fate) int {
	t.Helper()
	tr := &tracer{below: below, at: at, roots: map[int]bool{}, groups: map[int]int{}, failing: map[int]syscall.Errno{}, seen: map[string]bool{}}
	if c.SysProcAttr == nil {
		c.SysProcAttr = &syscall.SysProcAttr{}
	}
	c.SysProcAttr.Ptrace = true
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Process.Release() }()
	status, err := tr.follow(c.Process.Pid)
	if err != nil {
		t.Fatalf("trace %v: %v", c.Args, err)
	}
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

func (tr *tracer) follow(first int) (end unix.WaitStatus, err error) {
	var status unix.WaitStatus
	if _, err := unix.Wait4(first, &status, unix.WALL|unix.WNOTHREAD, nil); err != nil {
		return end, err
	}
	err = unix.PtraceSetOptions(first, unix.PTRACE_O_TRACESYSGOOD|unix.PTRACE_O_EXITKILL|
		unix.PTRACE_O_TRACECLONE|unix.PTRACE_O_TRACEFORK|unix.PTRACE_O_TRACEVFORK|unix.PTRACE_O_TRACEEXEC)
	if err != nil {
		return end, err
	}
	tr.roots[first] = true
	_ = unix.PtraceSyscall(first, 0)
	for {
		tid, err := unix.Wait4(-1, &status, unix.WALL|unix.WNOTHREAD, nil)
		switch {
		case err == unix.EINTR:
		case err == unix.ECHILD:
			return end, nil
		case err != nil:
			return end, err
		case !status.Stopped():
			if tid == first {
				end = status
			}
			delete(tr.roots, tid)
			delete(tr.groups, tid)
			delete(tr.failing, tid)
		default:
			tr.stopped(tid, status)
		}
	}
}

// stopped lets a thread go on, after what its stop asks for. Whatever fails here
// fails because the thread has just been killed.
func (tr *tracer) stopped(tid int, status unix.WaitStatus) {
	s := status.StopSignal()
	switch {
	case s == unix.SIGTRAP|0x80:
		if !tr.atCall(tid) {
			_ = unix.PtraceDetach(tid)
			return
		}
		s = 0
	case s == unix.SIGTRAP:
		s = 0 // an event
	case s == unix.SIGSTOP && !tr.roots[tid]:
		s = 0 // the first of a new thread
	}
	tr.roots[tid] = true
	_ = unix.PtraceSyscall(tid, int(s))
}

// atCall says whether to follow the thread any further: a program with set-user-ID
// has its privileges only untraced (execve(2)).
func (tr *tracer) atCall(tid int) bool {
	info, ok := syscallInfo(tid)
	if !ok {
		return true
	}
	if errno, failing := tr.failing[tid]; failing && info.Op == unix.PTRACE_SYSCALL_INFO_EXIT {
		delete(tr.failing, tid)
		var regs unix.PtraceRegs
		if unix.PtraceGetRegs(tid, &regs) == nil {
			regs.Rax = -uint64(errno)
			_ = unix.PtraceSetRegs(tid, &regs)
		}
		return true
	}
	if info.Op != unix.PTRACE_SYSCALL_INFO_ENTRY {
		return true
	}
	if info.Nr == unix.SYS_EXECVE {
		program := filepath.Base(peek(tid, info.Args[0]))
		return program != "newuidmap" && program != "newgidmap"
	}
	c, ok := tr.change(tid, info)
	if !ok {
		return true
	}
	tr.calls++
	c.n = tr.calls
	v := tr.at(c)
	if v.errno != 0 {
		var regs unix.PtraceRegs
		if unix.PtraceGetRegs(tid, &regs) == nil {
			regs.Orig_rax = ^uint64(0) // no call has this number
			_ = unix.PtraceSetRegs(tid, &regs)
			tr.failing[tid] = v.errno
		}
	}
	for _, pid := range v.kill {
		_ = unix.Kill(pid, unix.SIGKILL)
	}
	return true
}

// change describes a call that changes something below the directory.
func (tr *tracer) change(tid int, info callInfo) (call, bool) {
	k, ok := changing[info.Nr]
	if !ok || info.Nr == unix.SYS_OPENAT && info.Args[2]&(unix.O_CREAT|unix.O_TRUNC) == 0 {
		return call{}, false
	}
	if info.Nr == unix.SYS_OPENAT2 && peekWord(tid, info.Args[2])&(unix.O_CREAT|unix.O_TRUNC) == 0 {
		return call{}, false
	}
	path := ""
	if k.arg >= 0 {
		path = peek(tid, info.Args[k.arg])
	}
	if !filepath.IsAbs(path) {
		dir := fmt.Sprintf("/proc/%d/cwd", tid)
		if k.dir >= 0 && int32(info.Args[k.dir]) != unix.AT_FDCWD {
			dir = fmt.Sprintf("/proc/%d/fd/%d", tid, int32(info.Args[k.dir]))
		}
		real, _ := os.Readlink(dir)
		path = filepath.Join(real, path)
	} else if rest, ok := strings.CutPrefix(path, "/proc/self/fd/"); ok {
		fd, rest, _ := strings.Cut(rest, "/")
		real, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", tid, fd))
		path = filepath.Join(real, rest)
	}
	rest, ok := strings.CutPrefix(path, tr.below)
	if strings.HasPrefix(k.name, "open") {
		if tr.seen[rest] {
			return call{}, false // a lock, most of all
		}
		tr.seen[rest] = true
	}
	return call{process: tr.group(tid), name: k.name, path: strings.TrimPrefix(rest, "/")}, ok
}

// group is the process of a thread.
func (tr *tracer) group(tid int) int {
	if tr.groups[tid] == 0 {
		tgid := tid
		_, _ = fmt.Sscan(statusOf(tid, "Tgid"), &tgid)
		tr.groups[tid] = tgid
	}
	return tr.groups[tid]
}

// callInfo is the head of struct ptrace_syscall_info (ptrace(2)).
type callInfo struct {
	Op   uint8
	_    [3]uint8
	Arch uint32
	IP   uint64
	SP   uint64
	Nr   uint64
	Args [6]uint64
	_    [4]uint64
}

func syscallInfo(tid int) (info callInfo, ok bool) {
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_GET_SYSCALL_INFO, uintptr(tid),
		unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0)
	return info, errno == 0
}

// peek reads a string of a thread's.
func peek(tid int, at uint64) string {
	var all []byte
	for len(all) < 4096 {
		var word [8]byte
		if n, err := unix.PtracePeekData(tid, uintptr(at)+uintptr(len(all)), word[:]); err != nil || n < len(word) {
			break
		}
		if end := bytes.IndexByte(word[:], 0); end >= 0 {
			return string(append(all, word[:end]...))
		}
		all = append(all, word[:]...)
	}
	return string(all)
}

func peekWord(tid int, at uint64) uint64 {
	var word [8]byte
	_, _ = unix.PtracePeekData(tid, uintptr(at), word[:])
	return binary.NativeEndian.Uint64(word[:])
}
