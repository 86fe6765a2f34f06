// Package testenv tells tests what the machine and the user that they run as
// give them, and finds what they leave behind.
//
// The suite runs three times: as a user with subordinate ids, as one without,
// and in a short form as root. It says which by ROOTLET_TEST_USER. A test that
// needs more than it finds is skipped and names what it misses; with
// ROOTLET_MUST_WORK=1, as CI sets it, that is a failure, so that nothing is
// silently untested. The skips that stay skips are NotFor: the test is meant for
// another of the three users; and Whoever: another of them runs it in any case.
//
// Only tests import this package. It asks the system itself, and not rootlet's
// own packages, which are what is being tested.
package testenv

import (
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strings"
	"syscall"
	"testing"
)

const (
	mustWork = "ROOTLET_MUST_WORK"
	testUser = "ROOTLET_TEST_USER"
	again    = "ROOTLET_TEST_AGAIN"
)

// The values of ROOTLET_TEST_USER.
const (
	WithSubIDs    = "subids"
	WithoutSubIDs = "nosubids"
	AsRoot        = "root"
)

// Kind is the user that the suite runs the test as, or "" outside the suite.
func Kind() string { return os.Getenv(testUser) }

// Skip ends a test that misses something: reason names it.
func Skip(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv(mustWork) == "1" {
		t.Fatalf("needs %s, and %s=1 forbids to skip", reason, mustWork)
		return
	}
	t.Skipf("needs %s", reason)
}

// NotFor ends a test that is meant for another of the suite's users. It takes
// the suite's word for who this is, so outside the suite it is an ordinary Skip.
func NotFor(t testing.TB, reason string) {
	t.Helper()
	if Kind() == "" {
		Skip(t, reason)
		return
	}
	t.Skipf("not for the test user %q: %s", Kind(), reason)
}

// Whoever ends a test that the suite's first user runs as well, where that is
// enough: it is about clients, records, locks, registries, or other things of one
// user's, and no part of it hangs on which ids he has. Who is the only user of a
// run, or runs no suite, runs it.
func Whoever(t testing.TB) {
	t.Helper()
	if os.Getenv(again) == "1" {
		t.Skipf("not for the test user %q: run as the first user", Kind())
	}
}

// NeedProgram returns the absolute path of a program.
func NeedProgram(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		// An ordinary user's PATH often lacks the administrator's directories.
		for _, dir := range []string{"/usr/sbin/", "/sbin/"} {
			if path, err = exec.LookPath(dir + name); err == nil {
				return path
			}
		}
		Skip(t, "the program "+name)
	}
	return path
}

// NeedRoot goes on only as root.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	NotFor(t, "root")
}

// NeedUser goes on only as an ordinary user.
func NeedUser(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	NotFor(t, "an ordinary user")
}

// NeedSubIDs goes on only as an ordinary user with subordinate ids and the
// programs that map them.
func NeedSubIDs(t testing.TB) {
	t.Helper()
	if Kind() == WithoutSubIDs {
		NotFor(t, "subordinate ids")
		return
	}
	NeedUser(t)
	NeedProgram(t, "newuidmap")
	NeedProgram(t, "newgidmap")
	for _, table := range []string{"/etc/subuid", "/etc/subgid"} {
		if len(linesOf(table)) == 0 {
			Skip(t, "a range of this user in "+table)
		}
	}
}

// linesOf returns this user's lines of a sub-id table.
func linesOf(table string) []string {
	data, err := os.ReadFile(table)
	u, userErr := user.Current()
	if err != nil || userErr != nil {
		return nil
	}
	return slices.DeleteFunc(strings.Split(string(data), "\n"), func(line string) bool {
		owner, _, _ := strings.Cut(line, ":")
		return owner != u.Username && owner != u.Uid
	})
}

// NeedUserNS goes on only where a user namespace can be made.
func NeedUserNS(t testing.TB) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", "-test.run=^$")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER}
	if err := cmd.Start(); err != nil {
		Skip(t, "user namespaces: "+err.Error())
		return
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// NeedFuse goes on only where /dev/fuse can be opened.
func NeedFuse(t testing.TB) {
	t.Helper()
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		Skip(t, "FUSE: "+err.Error())
		return
	}
	_ = f.Close()
}
