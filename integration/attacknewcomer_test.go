package integration

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// newcomers calls do for each process that appears; pids are given out in turn.
func newcomers(do func(pid int)) error {
	next := os.Getpid() + 1
	last := next
	return again(func() int {
		turns := 0
		for pid := next; pid < next+4; pid++ {
			if unix.Kill(pid, 0) != nil {
				continue
			}
			next = pid + 1
			if _, err := os.Lstat(fmt.Sprintf("/proc/self/task/%d", pid)); err != nil {
				do(pid)
				turns++
			}
			break
		}
		if next == last {
			next = behind(next)
		}
		last = next
		return turns
	})
}

// behind is the next pid to come where the processes were too quick.
func behind(next int) int {
	latest := 0
	text, err := os.ReadFile("/proc/loadavg") // its last number is the newest pid of the reader's namespace
	if err == nil {
		fields := strings.Fields(string(text))
		_, _ = fmt.Sscanf(fields[len(fields)-1], "%d", &latest)
	}
	return max(next, latest+1)
}

// holdNewcomers wants to have something of a process before it is the user's program.
func holdNewcomers([]string) error { return newcomers(hold) }

func hold(pid int) {
	if unix.PtraceSeize(pid) == nil {
		checkTraced(pid)
	}
	dir := fmt.Sprintf("/proc/%d/", pid)
	// What is opened stays that of the program which the process was at that moment.
	for _, mode := range []int{unix.O_RDONLY, unix.O_WRONLY, unix.O_RDWR, unix.O_PATH} {
		if fd, err := unix.Open(dir+"exe", mode|unix.O_CLOEXEC, 0); err == nil {
			checkProgram(pid, fd, mode)
		}
	}
	for _, name := range []string{"environ", "maps", "cmdline", "auxv", "syscall", "stack", "personality"} {
		if text := readAll(dir + name); strings.Contains(text, "canary") || strings.Contains(text, "/rootlet") {
			success("%s of %d: %.300q", name, pid, text)
		}
	}
	checkDirectory(dir + "root")
	checkDirectory(dir + "cwd")
	checkDescriptors(dir + "fd/")
	checkPeek(pid)
}

// checkProgram: a process that may be looked into is a program of the container, or the
// sealed copy of what executes it.
func checkProgram(pid, fd, mode int) {
	defer unix.Close(fd)
	if link, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd)); !ofTheContainer(link) {
		success("exe of %d, opened with %#x, is %s", pid, mode, link)
	}
	for _, mode := range []int{unix.O_WRONLY, unix.O_RDWR} {
		again, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), mode|unix.O_CLOEXEC, 0)
		if err != nil {
			continue
		}
		if _, err := unix.Pwrite(again, []byte("X"), 0); err == nil {
			success("exe of %d, opened with %#x, is written", pid, mode)
		}
		unix.Close(again)
	}
}

// ofTheContainer reports whether a program is one that the attacked container has.
func ofTheContainer(exe string) bool {
	return exe == "/bin/busybox" || exe == "/probe" || strings.HasPrefix(exe, "/memfd:rootlet-exec")
}

func readAll(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	text, _ := io.ReadAll(io.LimitReader(f, 1<<20))
	return string(text)
}

// checkDirectory: a root or working directory that can be entered is in the container.
func checkDirectory(path string) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	var st, own unix.Stat_t
	if unix.Fstat(fd, &st) == nil && unix.Stat("/", &own) == nil && (st.Dev != own.Dev || st.Ino != own.Ino) {
		success("%s is another directory", path)
	}
}

func checkDescriptors(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if link, err := os.Readlink(dir + e.Name()); err == nil && ofTheHost(link) {
			success("%s%s is %s", dir, e.Name(), link)
		}
	}
}

// checkPeek reads memory, and takes descriptors, without a tracer's help.
func checkPeek(pid int) {
	if fd, err := unix.PidfdOpen(pid, 0); err == nil {
		for n := range 32 {
			if got, err := unix.PidfdGetfd(fd, n, 0); err == nil {
				link, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", got))
				if ofTheHost(link) {
					success("descriptor %d of %d is %s", n, pid, link)
				}
				unix.Close(got)
			}
		}
		unix.Close(fd)
	}
	// The first page of a static Go program, as rootlet is one.
	buf := make([]byte, 4096)
	local := []unix.Iovec{{Base: &buf[0], Len: uint64(len(buf))}}
	n, err := unix.ProcessVMReadv(pid, local, []unix.RemoteIovec{{Base: 0x400000, Len: len(buf)}}, 0)
	if err == nil && strings.Contains(string(buf[:n]), "Go") {
		success("memory of %d", pid)
	}
}

// checkTraced stops whom it could seize, sees what that is, and lets it go.
func checkTraced(pid int) {
	_, _, _ = unix.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_INTERRUPT, uintptr(pid), 0, 0, 0, 0)
	var status unix.WaitStatus
	if _, err := unix.Wait4(pid, &status, unix.WALL, nil); err != nil || !status.Stopped() {
		return
	}
	if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err == nil && !ofTheContainer(exe) {
		success("%d was traced while it was %s", pid, exe)
	}
	_, _, _ = unix.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_DETACH, uintptr(pid), 0, 0, 0, 0)
}

// killNewcomers ends whatever appears.
func killNewcomers([]string) error {
	return newcomers(func(pid int) { _ = unix.Kill(pid, unix.SIGKILL) })
}

// grab wants to see, signal, trace or open what is no process of the container's.
func grab([]string) error {
	own := os.Getpid()
	for pid := range 1 << 16 {
		if pid == 0 || pid == own || unix.Kill(pid, 0) != nil {
			continue
		}
		if _, err := os.Lstat(fmt.Sprintf("/proc/self/task/%d", pid)); err != nil {
			success("there is a process %d", pid)
		}
	}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		var pid int
		if _, err := fmt.Sscanf(e.Name(), "%d", &pid); err == nil && pid != own {
			success("/proc shows %d", pid)
		}
	}
	if err := unix.Kill(-1, 0); err != unix.ESRCH {
		success("all others: %v", err)
	}
	if unix.Getppid() != 0 {
		success("its parent is %d", unix.Getppid())
	}
	if unix.PtraceSeize(unix.Getppid()) == nil {
		success("its parent is traced")
	}
	leaveNamespaces()
	followSockets()
	return nil
}

// leaveNamespaces follows what the kernel tells of each namespace: whose it is, and what
// is above.
func leaveNamespaces() {
	var own unix.Stat_t
	_ = unix.Stat("/proc/self/ns/user", &own)
	for _, name := range []string{"user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"} {
		fd, err := unix.Open("/proc/self/ns/"+name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			continue
		}
		for what, request := range map[string]uintptr{"owner": unix.NS_GET_USERNS, "parent": unix.NS_GET_PARENT} {
			other, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, 0)
			if errno != 0 {
				continue
			}
			var st unix.Stat_t
			if unix.Fstat(int(other), &st) == nil && (st.Dev != own.Dev || st.Ino != own.Ino) {
				success("the %s of its %s namespace can be had", what, name)
			}
			if unix.Setns(int(other), 0) == nil {
				success("it enters the %s of its %s namespace", what, name)
			}
			unix.Close(int(other))
		}
		unix.Close(fd)
	}
}

// followSockets asks the kernel who is at the other ends of its streams.
func followSockets() {
	for fd := range 3 {
		if ucred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil && ucred.Pid != 0 {
			success("stream %d shows process %d", fd, ucred.Pid)
		}
		pidfd := int32(-1)
		size := uint32(4)
		if _, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERPIDFD, uintptr(unsafe.Pointer(&pidfd)), uintptr(unsafe.Pointer(&size)), 0); errno == 0 && unix.PidfdSendSignal(int(pidfd), 0, nil, 0) == nil {
			success("stream %d gives a descriptor of a process", fd)
		}
	}
}
