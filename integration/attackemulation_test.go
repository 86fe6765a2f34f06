package integration

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Attacks on who answers for root emulation: what a process says in a call is changed while
// it waits, and by others. Who has subordinate ids has nobody there, and the kernel to ask.

// tries is how often each of them is tried.
const tries = 2000

// pathRace changes the text of a path and what it leads to while chown, stat and mknod wait
// for their answer: the first argument is outside, the second a directory to work in, the
// third one that is mounted from outside.
func pathRace(args []string) error {
	outside, work, mounted := args[0], args[1], args[2]
	for _, dir := range []string{work + "/d", work + "/d/e", mounted + "/d", mounted + "/d/e"} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	for link, to := range map[string]string{
		work + "/l": outside, mounted + "/l": outside, work + "/m": "/proc/1/root" + outside, work + "/p": "/proc/1/cwd",
		work + "/u": "../../../../../../../.." + outside, mounted + "/u": "../../../../../../../.." + outside,
	} {
		_ = os.Symlink(to, link)
	}
	over := make(chan struct{})
	var others sync.WaitGroup
	for _, pair := range [][2]string{{work + "/d", work + "/l"}, {mounted + "/d/e", work + "/moved"}, {mounted + "/d", mounted + "/l"}, {work + "/d/e", work + "/moved2"}} {
		others.Go(func() {
			for open(over) {
				if unix.Renameat2(unix.AT_FDCWD, pair[0], unix.AT_FDCWD, pair[1], unix.RENAME_EXCHANGE) != nil {
					_ = unix.Rename(pair[0], pair[1])
					_ = unix.Rename(pair[1], pair[0])
				}
				breath()
			}
		})
	}
	texts := []string{outside + "/hello", "/proc/1/root" + outside + "/hello", "../../../../../.." + outside + "/hello", work + "/l/hello", work + "/m/hello", work + "/u/hello", "hello", "../l/hello"}
	shared := make([]byte, 4096)
	others.Go(func() {
		for i := 0; open(over); i++ {
			copy(shared, texts[i%len(texts)]+"\x00")
		}
	})
	at := uintptr(unsafe.Pointer(&shared[0]))
	var st unix.Stat_t
	for i := range tries {
		_ = unix.Chdir([]string{work + "/d/e", mounted + "/d/e", mounted + "/l", "/"}[i%4])
		syscall.RawSyscall6(unix.SYS_FCHOWNAT, ^uintptr(99), at, 1234, 1234, uintptr(i%2*unix.AT_SYMLINK_NOFOLLOW), 0)
		syscall.RawSyscall6(unix.SYS_NEWFSTATAT, ^uintptr(99), at, uintptr(unsafe.Pointer(&st)), 0, 0, 0)
		syscall.RawSyscall6(unix.SYS_MKNODAT, ^uintptr(99), at, unix.S_IFCHR|0o666, 259, 0, 0)
		syscall.RawSyscall(unix.SYS_MKDIRAT, ^uintptr(99), at, 0o777)
	}
	close(over)
	others.Wait()
	fmt.Println("tried")
	return nil
}

func open(over chan struct{}) bool {
	select {
	case <-over:
		return false
	default:
		return true
	}
}

// fdGames gives descriptors away that are no files, or others by the time they are looked
// at: of /proc, of sockets, of what is closed.
func fdGames(args []string) error {
	file, err := os.Create(args[0] + "/file")
	if err != nil {
		return err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	memory, _ := unix.MemfdCreate("x", 0)
	proc, _ := unix.Open("/proc/1", unix.O_PATH, 0)
	root, _ := unix.Open("/proc/1/root", unix.O_PATH, 0)
	self, _ := unix.Open("/proc/self/mem", unix.O_RDWR, 0)
	candidates := []int{int(file.Fd()), pair[0], memory, proc, root, self, -1, 1 << 30}
	const changing = 200
	var over atomic.Bool
	var other sync.WaitGroup
	other.Go(func() {
		for i := 0; !over.Load(); i++ {
			if fd := candidates[i%6]; fd >= 0 {
				_ = unix.Dup3(fd, changing, 0)
			}
			_ = unix.Close(changing)
		}
	})
	var st unix.Stat_t
	for i := range tries {
		for _, fd := range []int{changing, candidates[i%len(candidates)]} {
			_ = unix.Fchown(fd, 1234, i)
			_ = unix.Fchownat(fd, "", 1234, 1, unix.AT_EMPTY_PATH)
			_ = unix.Fchownat(fd, "../../"+args[1], 1234, 1, 0)
			_ = unix.Fstat(fd, &st)
			_, _ = unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
			// The answer goes where there is nothing, or nothing to be written.
			syscall.RawSyscall(unix.SYS_FSTAT, uintptr(fd), []uintptr{0, 1, 1 << 47, ^uintptr(0) - 8}[i%4], 0)
		}
	}
	over.Store(true)
	other.Wait()
	fmt.Println("tried")
	return nil
}

// dyingCallers are processes that are killed while they wait, so that their numbers come
// again as others'.
func dyingCallers(args []string) error {
	if len(args) > 1 {
		for {
			_ = os.Chown(args[0]+"/mine", os.Getpid(), 1)
			_, _ = os.Stat(args[0] + "/mine")
			_ = unix.Setgroups([]int{1, 2, 3})
			_ = unix.Mkdir(args[0]+"/dir", 0o700)
		}
	}
	if err := os.WriteFile(args[0]+"/mine", nil, 0o600); err != nil {
		return err
	}
	for range 60 {
		var running []*exec.Cmd
		for range 4 {
			c := exec.Command("/proc/self/exe", "dying", args[0], "child")
			if err := c.Start(); err != nil {
				return err
			}
			running = append(running, c)
		}
		time.Sleep(5 * time.Millisecond)
		for _, c := range running {
			_ = c.Process.Kill()
			_ = c.Wait()
		}
	}
	// Whoever answers is there still, and knows who we are.
	if err := os.Chown(args[0]+"/mine", 5, 6); err == nil {
		var st unix.Stat_t
		if err := unix.Stat(args[0]+"/mine", &st); err != nil || st.Uid != 5 || st.Gid != 6 {
			success("after that a file of 5:6 is %d:%d, %v", st.Uid, st.Gid, err)
		}
	}
	if os.Getuid() != 0 || os.Geteuid() != 0 {
		success("after that we are %d, %d", os.Getuid(), os.Geteuid())
	}
	fmt.Println("tried")
	return nil
}
