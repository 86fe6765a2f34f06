package integration

import (
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// typeAhead types into the terminal that it has, and into what it finds.
func typeAhead([]string) error {
	terminals := []int{0, 1, 2}
	for _, path := range []string{"/dev/tty", "/dev/console", "/dev/pts/0", "/dev/ptmx"} {
		if fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY, 0); err == nil {
			terminals = append(terminals, fd)
		}
	}
	letter := [2]byte{'X', 'X'}
	for range rounds {
		for _, fd := range terminals {
			for _, request := range []uintptr{unix.TIOCSTI, unix.TIOCSTI | 1<<32, unix.TIOCLINUX, unix.TIOCLINUX | 1<<32} {
				if _, _, errno := unix.RawSyscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(&letter[0]))); errno == 0 {
					fmt.Printf("typed with %#x\n", request)
				}
			}
		}
	}
	fmt.Println("tried")
	return nil
}

// dialOut connects to each "network address", where nobody must answer.
func dialOut(places []string) error {
	for i := 0; i+1 < len(places); i += 2 {
		c, err := net.DialTimeout(places[i], places[i+1], 300*time.Millisecond)
		if err != nil {
			continue
		}
		_ = c.SetDeadline(time.Now().Add(300 * time.Millisecond))
		_, _ = c.Write([]byte("hello?"))
		answer := make([]byte, 100)
		n, err := c.Read(answer)
		if strings.HasPrefix(places[i], "tcp") && err == nil || n > 0 {
			success("%s at %s answers %q", places[i], places[i+1], answer[:n])
		}
		c.Close()
	}
	return nil
}

// openHandle opens a file by what the file system calls it, at a mount of that file
// system; and what is at its root.
func openHandle(args []string) error {
	at, err := unix.Open(args[0], unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	handles := []unix.FileHandle{
		unix.NewFileHandle(1, []byte{2, 0, 0, 0, 0, 0, 0, 0}), // ext4's root
		unix.NewFileHandle(0xfe, []byte{}),
	}
	for _, text := range args[1:] {
		kind, bytes, _ := strings.Cut(text, ":")
		number, err := strconv.Atoi(kind)
		if err != nil {
			return err
		}
		raw, err := hex.DecodeString(bytes)
		if err != nil {
			return err
		}
		handles = append(handles, unix.NewFileHandle(int32(number), raw))
	}
	for _, h := range handles {
		for _, flags := range []int{unix.O_RDONLY, unix.O_RDWR, unix.O_PATH, unix.O_RDONLY | unix.O_DIRECTORY} {
			if fd, err := unix.OpenByHandleAt(at, h, flags); err == nil {
				link, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
				success("handle %x opens %s", h.Bytes(), link)
				unix.Close(fd)
			}
		}
	}
	return nil
}

// nest prints how many user namespaces it could make, side by side and one in another.
func nest([]string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	var all []*exec.Cmd
	made := 0
	for range 100 {
		c := exec.Command(self, "nested")
		c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER}
		if _, err := c.StdinPipe(); err != nil {
			return err
		}
		if c.Start() != nil {
			break
		}
		all = append(all, c)
		made++
	}
	for _, c := range all {
		_ = c.Process.Kill()
		_ = c.Wait()
	}
	fmt.Println(made)
	return nil
}

func openSockets([]string) error {
	for name, family := range map[string]int{"AF_ALG": unix.AF_ALG, "AF_VSOCK": unix.AF_VSOCK} {
		for _, upper := range []uintptr{0, 1 << 32} {
			if _, _, errno := unix.RawSyscall(unix.SYS_SOCKET, uintptr(family)|upper, unix.SOCK_SEQPACKET, 0); errno != unix.EPERM {
				success("socket %s: %v", name, errno)
			}
		}
	}
	return nil
}

// writeCgroups opens each file of the control groups for writing, and wants the
// hierarchies of version 1, whose release_agent the host's root executes.
func writeCgroups([]string) error {
	writable("/sys/fs/cgroup")
	_ = unix.Mount("", "/sys/fs/cgroup", "", unix.MS_REMOUNT|unix.MS_BIND, "")
	_ = unix.MountSetattr(unix.AT_FDCWD, "/sys/fs/cgroup", unix.AT_RECURSIVE, &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY})
	writable("/sys/fs/cgroup")
	_ = os.Mkdir("/tmp/cg", 0o700)
	for _, controllers := range []string{"rdma", "memory", "cpu", "none,name=x"} {
		if unix.Mount("cgroup", "/tmp/cg", "cgroup", 0, controllers) == nil {
			writable("/tmp/cg") // what a container sees of it is its own group's
			_ = unix.Unmount("/tmp/cg", unix.MNT_DETACH)
		}
	}
	return nil
}

// lookAtSelf looks at what it was executed with: descriptors, and its first ancestor's
// program, which is a sealed copy or not to be opened.
func lookAtSelf([]string) error {
	checkDescriptors("/proc/1/fd/")
	checkDescriptors("/proc/self/fd/")
	fd, err := unix.Open("/proc/1/exe", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	const all = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0); err != nil || seals&all != all {
		success("the program of process 1 has seals %#x: %v", seals, err)
	}
	for _, mode := range []int{unix.O_WRONLY, unix.O_RDWR} {
		if fd, err := unix.Open("/proc/1/exe", mode, 0); err == nil {
			if _, err := unix.Write(fd, []byte("X")); err == nil {
				success("the program of process 1 is written")
			}
			unix.Close(fd)
		}
	}
	return nil
}
