// Package emulation answers the system calls by which a container's root, that has one id
// only, changes owners and ids: it remembers what was asked for, and says so when asked
// again. The filter that sends it those calls is seccomp.Emulation's.
//
// What a file's owner should be is an extended attribute of the file's, the one that
// unpacking with one id leaves too; what a process's ids should be is in memory here. No
// right goes with either: all programs of such a container have the caller's own id, and
// nothing here decides what one may do, but for what the kernel would not have permitted
// to the ids that it is believed to have.
//
// It runs as a process of its own (stage.Emulator) beside the container's monitor, in U1.
// The programs that ask are hostile: they can change their memory, their directories and
// their descriptors while they wait. So each path is read once and followed here, below the
// container's root, which is this process's own root, and what a process id means is
// checked before it is used.
package emulation

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"rootlet/internal/linux"
	"rootlet/sandbox/seccomp"
)

// The process's descriptors after 0, 1 and 2.
const (
	listenFD = 3 // the socket to which containers' processes bring their listeners
	aliveFD  = 4 // the process ends when the other end of this pipe is gone
)

// Serve is the stage. It returns the process's exit status; what it says goes to the
// monitor, which has the other end of its output.
func Serve([]string) int {
	fmt.Fprintln(os.Stderr, serve())
	return 1
}

// serve returns why it cannot go on.
func serve() error {
	if err := linux.CloseOnExecFrom(listenFD); err != nil {
		return err
	}
	debug.SetGCPercent(400) // it makes hardly any garbage, and is to sleep
	s, err := newSupervisor()
	if err != nil {
		return err
	}
	file := os.NewFile(listenFD, "listener")
	l, err := net.FileListener(file)
	if err != nil {
		return err
	}
	_ = file.Close()
	go func() {
		_, _ = os.NewFile(aliveFD, "alive").Read(make([]byte, 1))
		os.Exit(0) // the monitor is gone, or the container has ended
	}()
	if err := s.openProc(); err != nil {
		return err
	}
	time.AfterFunc(time.Second, linux.LetGoOfText)
	for {
		conn, err := l.(*net.UnixListener).AcceptUnix()
		if err != nil {
			return err
		}
		if !linux.OwnPeer(conn) {
			conn.Close()
			continue
		}
		go func() {
			l, err := s.welcome(conn)
			if err != nil {
				conn.Close()
				return
			}
			// Here, and in no goroutine of its own: the first call may come any moment.
			_, err = conn.Write([]byte{0})
			conn.Close()
			if err != nil {
				l.end()
				return
			}
			l.receive()
		}()
	}
}

// supervisor is the process.
type supervisor struct {
	numbers map[int32]call
	wakes   bool // the kernel tells who waits for a call that there is nobody left (Linux 6.11)
	proc    int  // /proc of the process's own pid namespace

	rootOnce sync.Once
	rootErr  error

	anyChanged  atomic.Bool // of the listeners
	listenersMu sync.Mutex
	listeners   map[*listener]struct{}
}

func newSupervisor() (*supervisor, error) {
	m, err := seccomp.Here(func(string) bool { return true })
	if err != nil {
		return nil, err
	}
	s := &supervisor{numbers: map[int32]call{}, listeners: map[*listener]struct{}{}, wakes: slices.Compare(m.Kernel[:], []int{6, 11}) >= 0}
	for number, name := range m.Native() {
		s.numbers[number] = calls[name]
	}
	return s, nil
}

// openProc opens a /proc in which processes have the numbers that they have for this one.
// The one that is mounted is the host's, mostly. It becomes the working directory, whatever
// the root will be.
func (s *supervisor) openProc() error {
	var err error
	if s.proc, err = ownProc(); err != nil {
		return err
	}
	return unix.Fchdir(s.proc)
}

func ownProc() (int, error) {
	if self, err := os.Readlink("/proc/self"); err == nil && self == fmt.Sprint(os.Getpid()) {
		return unix.Open("/proc", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	}
	fd, err := newProc()
	if err != nil {
		return -1, fmt.Errorf("a /proc of its own: %w", err)
	}
	return fd, nil
}

// Check says why a supervisor could not work in the namespaces of this process, as where
// the /proc that is mounted has masks over it; nil: it could.
func Check() error {
	fd, err := ownProc()
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// newProc is a /proc that is mounted nowhere.
func newProc() (int, error) {
	fs, err := unix.Fsopen("proc", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, err
	}
	defer unix.Close(fs)
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, err
	}
	mount, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
	if err != nil {
		return -1, err
	}
	defer unix.Close(mount)
	return unix.Openat(mount, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

// Hello says whose processes a listener is for. It comes before the listener does, and is
// answered with one byte, as is that.
type Hello struct {
	UID    uint32   `json:"uid"`
	GID    uint32   `json:"gid"`
	Groups []uint32 `json:"groups,omitempty"`
	Caps   uint64   `json:"caps"` // that root has there
	// Serves says that one of the processes may serve a file system (fuse(4)), so that what
	// is done for one may wait for another.
	Serves bool `json:"serves,omitempty"`
}

// maxHello is the size of a Hello, in bytes: there are at most 65536 groups.
const maxHello = 1 << 20

// welcome takes a listener.
func (s *supervisor) welcome(conn *net.UnixConn) (*listener, error) {
	hello, err := readHello(conn)
	if err != nil {
		return nil, err
	}
	if err := askForCredentials(conn); err != nil {
		return nil, err
	}
	if _, err := conn.Write([]byte{0}); err != nil {
		return nil, err
	}
	fd, pid, err := receive(conn)
	if err != nil {
		return nil, err
	}
	s.rootOnce.Do(func() { s.rootErr = s.enter(pid) })
	if s.rootErr != nil {
		unix.Close(fd)
		return nil, s.rootErr
	}
	// Who asks is waited for on the same processor, most of the time (Linux 6.6).
	_ = unix.IoctlSetInt(fd, unix.SECCOMP_IOCTL_NOTIF_SET_FLAGS, unix.SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP)
	l := &listener{supervisor: s, fd: fd, caps: hello.Caps, first: personOf(hello), people: people{known: map[int]kept{}, look: s.look}}
	if !l.first.isRoot() {
		l.change()
	}
	s.listenersMu.Lock()
	s.listeners[l] = struct{}{}
	s.listenersMu.Unlock()
	l.most = 1
	if hello.Serves {
		l.most = maxReceivers
	}
	l.all.Add(1)
	l.free.Add(1)
	return l, nil
}

// askForCredentials has messages that are sent from now on bring the number of who sends
// them (unix(7)). One that was sent before has none.
func askForCredentials(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var setErr error
	err = raw.Control(func(fd uintptr) { setErr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1) })
	return errors.Join(err, setErr)
}

// receive takes the descriptor that the process of a container sends, and its number here.
func receive(conn *net.UnixConn) (fd, pid int, err error) {
	control := make([]byte, unix.CmsgSpace(4)+unix.CmsgSpace(unix.SizeofUcred))
	_, n, _, _, err := conn.ReadMsgUnix(make([]byte, 1), control)
	if err != nil {
		return -1, 0, err
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil {
		return -1, 0, err
	}
	fd = -1
	for i := range messages {
		if fds, rightsErr := unix.ParseUnixRights(&messages[i]); rightsErr == nil && len(fds) == 1 {
			fd = fds[0]
		}
		if peer, credErr := unix.ParseUnixCredentials(&messages[i]); credErr == nil {
			pid = int(peer.Pid)
		}
	}
	if fd < 0 || pid <= 0 {
		return -1, 0, errors.New("no listener came")
	}
	return fd, pid, nil
}

// enter makes the container's root this process's own: that of the process that has brought
// the first listener, and waits for an answer. What is on the host cannot be named then. Of
// its rights the process keeps those by which it looks into the container's processes, and
// writes attributes of files that may not be written to.
func (s *supervisor) enter(pid int) error {
	root, err := unix.Openat(s.proc, fmt.Sprintf("%d/root", pid), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open the container's root: %w", err)
	}
	defer unix.Close(root)
	if err := unix.Fchdir(root); err != nil {
		return err
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("enter the container's root: %w", err)
	}
	if err := unix.Fchdir(s.proc); err != nil {
		return err
	}
	return renounce()
}

// rights are the capabilities of a supervisor at work, over U1 and what is below it.
const rights = 1<<unix.CAP_SYS_PTRACE | 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_DAC_READ_SEARCH

func renounce() error {
	if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); errno != 0 {
		return fmt.Errorf("no_new_privs: %w", errno)
	}
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	keep := [2]unix.CapUserData{{Effective: rights, Permitted: rights}}
	if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&head)), uintptr(unsafe.Pointer(&keep[0])), 0); errno != 0 {
		return fmt.Errorf("capset: %w", errno)
	}
	return nil
}

// listener is where the calls of some processes come in: of a container's first one and
// its descendants, or of one that has joined it.
type listener struct {
	*supervisor
	fd     int
	caps   uint64 // that root has
	first  person // what its processes are until they say otherwise
	people people
	// changed says that not all of them are root any more.
	changed atomic.Bool
	most    int32        // how many receivers there may be
	free    atomic.Int32 // those that wait for a call
	all     atomic.Int32
	turn    sync.Mutex // held by the one that waits, where the kernel does not wake
}

// maxReceivers bounds how many calls are answered at a time, where that must be more than
// one: two receivers that take turns take twice the time of one.
const maxReceivers = 32

// change notes that not all are root any more.
func (l *listener) change() {
	l.changed.Store(true)
	l.anyChanged.Store(true)
}

func (l *listener) end() {
	unix.Close(l.fd)
	l.listenersMu.Lock()
	defer l.listenersMu.Unlock()
	delete(l.listeners, l)
}

// receive answers calls until there is nobody left to make one.
func (l *listener) receive() {
	r := newReceiver(l)
	for {
		if err := r.next(); err != nil {
			if l.all.Add(-1) == 0 {
				l.end()
			}
			return
		}
		if l.free.Add(-1) == 0 && l.all.Load() < l.most {
			l.all.Add(1)
			l.free.Add(1)
			go l.receive()
		}
		r.answer()
		l.free.Add(1)
	}
}
