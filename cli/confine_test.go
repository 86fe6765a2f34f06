package cli

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/internal/landlock"
	"rootlet/internal/stage"
	"rootlet/internal/testenv"
	"rootlet/sandbox"
	"rootlet/userns"
)

// A worker that does what an image says, and not what its code does, gets nowhere:
// threats.md, 23.
func TestIntruderInAWorker(t *testing.T) {
	testenv.NeedUser(t)
	testenv.NeedUserNS(t)
	abi, err := landlock.ABI()
	if err != nil {
		testenv.Skip(t, err.Error())
	}
	connect := "connect: EACCES"
	if abi < 4 {
		connect = "connect: yes" // it knows no TCP
	}
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	nowhere := []string{
		"read a key: EACCES", "list home: EACCES", "read the login: EACCES", "write .bashrc: EROFS", "make a file: EROFS", "remove .bashrc: EROFS",
		"chmod .bashrc: EROFS", "chown .bashrc: EROFS", "touch .bashrc: EROFS", "attribute of .bashrc: EROFS", "link .bashrc into the store: EXDEV",
		"write a container's record: EROFS", "chmod a container's record: EROFS", "write an event: EROFS", "move a volume: EXDEV",
		"another process's variables: EACCES", "another process's memory: EACCES", "mount: EPERM", "unmount: EPERM", "remount: EPERM", "execute: EACCES",
	}
	for _, test := range []struct {
		w    work
		want []string
	}{
		{work{Pull: &pullWork{}}, append(slices.Clip(nowhere), "connect: yes", "store: yes", "blobs: yes", "host's names: yes")},
		{work{Load: &loadWork{}}, append(slices.Clip(nowhere), connect, "store: yes", "blobs: yes", "host's names: yes", "what it was given: yes")},
	} {
		home := t.TempDir()
		t.Setenv("HOME", home)
		t.Setenv(playedPart, "intruder with "+server.Addr().String())
		test.w.Paths = sandbox.Paths{Data: filepath.Join(home, "data"), Runtime: filepath.Join(home, "run")}
		before := furnish(t, home)
		got := intrude(t, test.w, filepath.Join(home, "given"))
		if !slices.Equal(got, test.want) {
			t.Errorf("%s\nwant %s", strings.Join(got, ", "), strings.Join(test.want, ", "))
		}
		if after := describe(t, home); after != before {
			t.Errorf("home is not as it was:\n%s\nbut\n%s", before, after)
		}
	}
}

// furnish makes what an intruder would like to have.
func furnish(t *testing.T, home string) string {
	t.Helper()
	for _, name := range []string{".ssh/id", ".bashrc", "auth.json", "given", "data/containers/one/settings.json", "data/events", "data/volumes/one/file"} {
		path := filepath.Join(home, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return describe(t, home)
}

// describe has a line for each file that no worker may change.
func describe(t *testing.T, home string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.Walk(home, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, home)
		if name == "/run" || name == "/data/storage" || name == "/data/blobs" {
			return filepath.SkipDir
		}
		if info.Mode().IsRegular() {
			fmt.Fprintln(&all, name, info.Mode(), info.Size(), info.ModTime(), info.Sys().(*syscall.Stat_t).Nlink)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// intrude has a worker, in a user namespace as ever, play the intruder.
func intrude(t *testing.T, w work, given string) (said []string) {
	t.Helper()
	plan, err := userns.NewPlan()
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(given)
	if err != nil {
		t.Fatal(err)
	}
	a := &app{printer: &printer{out: os.Stderr}}
	if err := a.haveBy(plan.Start, w, nil, &said, file); err != nil {
		t.Fatal(err)
	}
	return said
}

// intruder is the worker: it confines itself as others do, and does its worst.
func intruder(conn *stage.Conn, w work, server string) error {
	t := &task{work: w, conn: conn}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return err
	}
	if err := t.confine(); err != nil {
		return err
	}
	var said []string
	try := func(what string, err error) { said = append(said, what+": "+testenv.Outcome(err)) }
	home, parent := os.Getenv("HOME"), fmt.Sprintf("/proc/%d/", os.Getppid())
	at := func(name string) string { return filepath.Join(home, name) }
	read := func(path string) error { _, err := os.ReadFile(path); return err }
	write := func(path string) error { return os.WriteFile(path, []byte("his"), 0o600) }
	_, listed := os.ReadDir(home)
	try("read a key", read(at(".ssh/id")))
	try("list home", listed)
	try("read the login", read(at("auth.json")))
	try("write .bashrc", write(at(".bashrc")))
	try("make a file", write(at("new")))
	try("remove .bashrc", os.Remove(at(".bashrc")))
	try("chmod .bashrc", os.Chmod(at(".bashrc"), 0o777))
	try("chown .bashrc", os.Chown(at(".bashrc"), 0, 0))
	try("touch .bashrc", os.Chtimes(at(".bashrc"), time.Time{}, time.Unix(1, 0)))
	try("attribute of .bashrc", unix.Setxattr(at(".bashrc"), "user.x", []byte("x"), 0))
	try("link .bashrc into the store", os.Link(at(".bashrc"), at("data/storage/bashrc")))
	try("write a container's record", write(at("data/containers/one/settings.json")))
	try("chmod a container's record", os.Chmod(at("data/containers/one/settings.json"), 0o777))
	try("write an event", write(at("data/events")))
	try("move a volume", os.Rename(at("data/volumes/one"), at("data/storage/one")))
	try("another process's variables", read(parent+"environ"))
	try("another process's memory", read(parent+"mem"))
	try("mount", unix.Mount("none", at("data/storage"), "tmpfs", 0, ""))
	try("unmount", unix.Unmount(at("data/storage"), unix.MNT_DETACH))
	writable := unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY}
	try("remount", unix.MountSetattr(unix.AT_FDCWD, "/", unix.AT_RECURSIVE, &writable))
	_, _, executed := syscall.StartProcess("/bin/true", []string{"true"}, nil)
	try("execute", executed)
	connection, err := net.Dial("tcp", server)
	if err == nil {
		err = connection.Close()
	}
	try("connect", err)
	try("store", errors.Join(write(at("data/storage/a")), os.Mkdir(at("data/storage/dir"), 0o700), os.Rename(at("data/storage/a"), at("data/storage/dir/b"))))
	try("blobs", errors.Join(write(at("data/blobs/a")), os.Chmod(at("data/blobs/a"), 0o400)))
	try("host's names", read("/etc/resolv.conf"))
	if w.Load != nil {
		try("what it was given", read(fmt.Sprintf("/proc/self/fd/%d", streamFD)))
	}
	return conn.SendJSON(kindDone, said)
}
