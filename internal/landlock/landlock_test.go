package landlock

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"rootlet/internal/testenv"
)

// What a kernel knows is asked of it, and no more, nor less than we know of it.
func TestHandledGoesByTheABI(t *testing.T) {
	for _, test := range []struct {
		abi        int
		needs      Needs
		fs         uint64
		net, scope uint64
		size       uintptr
	}{
		{abi: 2, fs: 1<<14 - 1, size: 8},
		{abi: 3, fs: 1<<15 - 1, size: 8},
		{abi: 4, fs: 1<<15 - 1, net: 3, size: 16},
		{abi: 5, fs: 1<<16 - 1, net: 3, size: 16},
		{abi: 6, fs: 1<<16 - 1, net: 3, scope: 1, size: 24},
		{abi: 8, fs: 1<<16 - 1, net: 3, scope: 1, size: 24},
		{abi: 9, fs: 1<<17 - 1, net: 3, scope: 1, size: 24},
		{abi: 99, fs: 1<<17 - 1, net: 3, scope: 1, size: 24},
		{abi: 9, needs: Needs{Sockets: true, Connect: true}, fs: 1<<16 - 1, net: 1, scope: 1, size: 24},
		{abi: 9, needs: Needs{Connect: true, Bind: true}, fs: 1<<17 - 1, scope: 1, size: 24},
	} {
		a := test.needs.handled(test.abi)
		if a.Handled_access_fs != test.fs || a.Handled_access_net != test.net || a.Scoped != test.scope || sizeOf(test.abi) != test.size {
			t.Errorf("ABI %d, %+v: %+v, %d bytes", test.abi, test.needs, a, sizeOf(test.abi))
		}
	}
}

func TestJudge(t *testing.T) {
	for _, test := range []struct {
		version int
		errno   syscall.Errno
		want    int
		why     string
	}{
		{7, 0, 7, ""},
		{2, 0, 2, ""},
		{1, 0, 0, "ABI 1"},
		{-1, unix.ENOSYS, 0, "no Landlock"},
		{-1, unix.EOPNOTSUPP, 0, "lsm="},
		{-1, unix.EPERM, 0, "operation not permitted"},
	} {
		abi, err := judge(test.version, test.errno)
		if abi != test.want || (err == nil) != (test.why == "") || !strings.Contains(fmt.Sprint(err), test.why) {
			t.Errorf("version %d, %v: %d, %v", test.version, test.errno, abi, err)
		}
	}
}

// A kernel without Landlock, as seen through a filter of system calls, is no error and
// leaves all as it is but for no_new_privs.
func TestRestrictWithout(t *testing.T) {
	for _, errno := range []syscall.Errno{unix.ENOSYS, unix.EOPNOTSUPP} {
		process := exec.Command("/proc/self/exe")
		process.Env = append(os.Environ(), fmt.Sprintf("%s=%d", lacks, errno))
		out, err := process.CombinedOutput()
		if err != nil || string(out) != "nil, read: nil, no_new_privs: 1" {
			t.Errorf("%v: %q, %v", errno, out, err)
		}
	}
}

// without is the process that has none.
func without(errno int) string {
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}, // seccomp_data.nr
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_LANDLOCK_CREATE_RULESET, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err.Error()
	}
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program))); errno != 0 {
		return errno.Error()
	}
	said := func(err error) string {
		if err != nil {
			return err.Error()
		}
		return "nil"
	}
	restricted := Restrict(Needs{})
	_, read := os.ReadFile("/proc/self/status")
	nnp, _ := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	return fmt.Sprintf("%s, read: %s, no_new_privs: %d", said(restricted), said(read), nnp)
}

// act names, for the process that gives up its rights, where it may work.
const (
	act   = "ROOTLET_TEST_LANDLOCK"
	lacks = "ROOTLET_TEST_NO_LANDLOCK" // the errno by which it has none
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(act); dir != "" {
		for _, line := range restricted(dir) {
			fmt.Println(line)
		}
		os.Exit(0)
	}
	if errno, err := strconv.Atoi(os.Getenv(lacks)); err == nil {
		fmt.Print(without(errno))
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// abstract is a socket's name, without a file.
func abstract(dir string) string { return "@" + dir }

func TestRestrict(t *testing.T) {
	abi, err := ABI()
	if err != nil || abi < 6 {
		testenv.Skip(t, fmt.Sprintf("Landlock of ABI 6: %d, %v", abi, err))
	}
	dir := t.TempDir()
	for _, d := range []string{"read", "write/from", "write/to", "opened", "other"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, d, "file"), []byte("text"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	listener, err := net.Listen("unix", abstract(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	process := exec.Command("/proc/self/exe")
	process.Env = append(os.Environ(), act+"="+dir)
	out, err := process.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := []string{
		"read what is allowed: yes", "read what is open: yes", "write: yes", "rename: yes", "truncate: yes",
		"read another: EACCES", "list another: EACCES", "write where it reads: EACCES", "make another: EACCES", "remove another: EACCES",
		"rename out: EACCES", "link in: EXDEV", "through a link: EACCES", "execute: EACCES", "connect: EACCES", "listen: EACCES", "abstract socket: EPERM",
		"a new thread reads another: EACCES",
	}
	got := strings.Split(strings.TrimSpace(string(out)), "\n")
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "other/file")); err != nil || string(text) != "text" {
		t.Errorf("the other file: %q, %v", text, err)
	}
}

// restricted is the process that is. It says of each of its tries how it ended.
func restricted(dir string) (said []string) {
	at := func(name string) string { return filepath.Join(dir, name) }
	opened, openErr := os.Open(at("opened"))
	server, serverErr := net.Listen("tcp", "127.0.0.1:0")
	outside := exec.Command("/bin/true")
	if err := errors.Join(openErr, serverErr); err != nil {
		return []string{err.Error()}
	}
	if err := Restrict(Needs{Read: []string{at("read"), at("nothing")}, Write: []string{at("write")}, Opened: []int{int(opened.Fd())}}); err != nil {
		return []string{err.Error()}
	}
	try := func(what string, err error) { said = append(said, what+": "+testenv.Outcome(err)) }
	read := func(name string) error { _, err := os.ReadFile(at(name)); return err }
	write := func(name string) error { return os.WriteFile(at(name), nil, 0o600) }
	list := func(name string) error { _, err := os.ReadDir(at(name)); return err }
	dial := func(network, address string) error { _, err := net.Dial(network, address); return err }
	try("read what is allowed", read("read/file"))
	try("read what is open", read("opened/file"))
	try("write", write("write/new"))
	try("rename", os.Rename(at("write/from/file"), at("write/to/other")))
	try("truncate", os.Truncate(at("write/to/other"), 0))
	try("read another", read("other/file"))
	try("list another", list("other"))
	try("write where it reads", write("read/file"))
	try("make another", os.Mkdir(at("other/dir"), 0o700))
	try("remove another", os.Remove(at("other/file")))
	try("rename out", os.Rename(at("write/to/other"), at("other/new")))
	try("link in", os.Link(at("other/file"), at("write/linked")))
	_ = os.Symlink(at("other/file"), at("write/link"))
	try("through a link", write("write/link"))
	try("execute", outside.Run())
	try("connect", dial("tcp", server.Addr().String()))
	var plain net.ListenConfig
	plain.SetMultipathTCP(false) // which Landlock does not know
	_, err := plain.Listen(context.Background(), "tcp", "127.0.0.1:0")
	try("listen", err)
	try("abstract socket", dial("unix", abstract(dir)))
	done := make(chan error)
	go func() { done <- read("other/file") }()
	try("a new thread reads another", <-done)
	return said
}
