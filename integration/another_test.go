package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/internal/testenv"
)

// Another user of the host is a process with one of the test's subordinate ids and no
// other: for the kernel it is nobody of the test's user, and it takes no root to be it.

// A probe is something that the other user tries. Paths begin at /proc/self/fd/N, a
// directory that he was given, or are absolute.
type probe struct {
	Do   string // stat, read, write, execute, connect, ask, mkdir, mkfifo, symlink, remove
	Path string
	Send []byte `json:",omitempty"` // ask
}

// anotherFD is the first of the directories that he is given; the one before is a pipe
// that says when he has his id.
const anotherFD = 4

// asAnother has the other user try all of the probes, and returns how each ended: yes, the
// name of an errno, or to an ask what came back.
func asAnother(t *testing.T, probes []probe, given ...*os.File) []string {
	t.Helper()
	ready, done, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer done.Close()
	text, err := json.Marshal(probes)
	if err != nil {
		t.Fatal(err)
	}
	var out, errs strings.Builder
	c := exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), stageKey+"="+stageAnother)
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(string(text)), &out, &errs
	c.ExtraFiles = append([]*os.File{ready}, given...)
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, AmbientCaps: []uintptr{unix.CAP_SETUID, unix.CAP_SETGID}}
	err = c.Start()
	ready.Close()
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"uid", "gid"} {
		id, idErr := subID("/etc/sub" + kind)
		output, mapErr := exec.Command("new"+kind+"map", strconv.Itoa(c.Process.Pid), "0", id, "1").CombinedOutput()
		if err := errors.Join(idErr, mapErr); err != nil {
			_ = c.Process.Kill()
			_ = c.Wait()
			t.Fatalf("another user: %v\n%s", err, output)
		}
	}
	_, _ = done.WriteString("1")
	var said []string
	if err = c.Wait(); err == nil {
		err = json.Unmarshal([]byte(out.String()), &said)
	}
	if err != nil || len(said) != len(probes) {
		t.Fatalf("another user: %v, %d answers to %d probes\n%s", err, len(said), len(probes), errs.String())
	}
	return said
}

// subID is the last of a range, which no file of an image belongs to.
func subID(table string) (string, error) {
	me, err := user.Current()
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(table)
	for line := range strings.Lines(string(text)) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) != 3 || f[0] != me.Username && f[0] != me.Uid {
			continue
		}
		first, err1 := strconv.Atoi(f[1])
		count, err2 := strconv.Atoi(f[2])
		return strconv.Itoa(first + count - 1), errors.Join(err1, err2)
	}
	return "", fmt.Errorf("no sub-ids in %s: %w", table, err)
}

// another is the other user's process.
func another() error {
	if _, err := os.NewFile(anotherFD-1, "ready").Read(make([]byte, 1)); err != nil {
		return err
	}
	syscall.Umask(0)
	// The ids of the directory that one is given are all that is left of the test's user.
	if err := errors.Join(syscall.Setgroups(nil), syscall.Setresgid(0, 0, 0), syscall.Setresuid(0, 0, 0)); err != nil {
		return err
	}
	var probes []probe
	if err := json.NewDecoder(os.Stdin).Decode(&probes); err != nil {
		return err
	}
	var said []string
	for _, p := range probes {
		reply, err := p.try()
		if err != nil {
			reply = testenv.Outcome(err)
		}
		said = append(said, reply)
	}
	return json.NewEncoder(os.Stdout).Encode(said)
}

// try does it, without waiting for whatever is at the other end of a FIFO.
func (p probe) try() (string, error) {
	const yes = "yes"
	switch p.Do {
	case "stat":
		_, err := os.Lstat(p.Path)
		return yes, err
	case "read", "write":
		how := map[string]int{"read": unix.O_RDONLY, "write": unix.O_WRONLY}[p.Do]
		fd, err := unix.Open(p.Path, how|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
		if err == nil {
			err = unix.Close(fd)
		}
		return yes, err
	case "execute":
		return yes, unix.Access(p.Path, unix.X_OK)
	case "connect", "ask":
		conn, err := net.Dial("unix", p.Path)
		if err != nil {
			return "", err
		}
		defer conn.Close()
		_, _ = conn.Write(p.Send)
		_ = conn.SetDeadline(time.Now().Add(patience))
		reply, err := io.ReadAll(io.LimitReader(conn, 1))
		if errors.Is(err, unix.ECONNRESET) {
			err = nil // hung up before it was read
		}
		return fmt.Sprintf("%d bytes", len(reply)), err
	case "mkdir":
		return yes, os.Mkdir(p.Path, 0o777)
	case "mkfifo":
		return yes, unix.Mkfifo(p.Path, 0o666)
	case "symlink":
		return yes, os.Symlink("/", p.Path)
	case "chmod":
		return yes, os.Chmod(p.Path, 0o700)
	case "remove":
		return yes, os.Remove(p.Path)
	}
	return "", errors.New("unknown probe " + p.Do)
}
