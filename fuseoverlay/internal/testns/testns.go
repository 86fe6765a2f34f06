// Package testns runs a package's tests the way its code runs: as uid 0 of a
// user namespace with a mount namespace of its own, started by an ordinary user.
//
// Only tests import it. It makes the namespaces itself, not with rootlet's
// userns, which is a leaf beside fuseoverlay.
package testns

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strings"
	"syscall"
	"testing"

	"rootlet/internal/testenv"
)

// inside is set, to one of the kinds, in the process that runs the tests.
const (
	inside  = "ROOTLET_TESTNS"
	gateEnv = "ROOTLET_TESTNS_GATE" // set for the first process only, not for its children
	kindAll = "ids"                 // subordinate ids are mapped
	kindOne = "one"                 // the caller's id only
)

// Main runs the tests, in the namespaces where they can be had. It is what a
// package's TestMain returns with.
func Main(m *testing.M) {
	if os.Getenv(inside) != "" {
		os.Exit(served(m))
	}
	if os.Geteuid() == 0 {
		os.Exit(m.Run()) // which skips, by Need
	}
	code, err := reexec()
	if err != nil {
		fmt.Fprintln(os.Stderr, "testns:", err)
		os.Exit(m.Run())
	}
	os.Exit(code)
}

// Need goes on only inside the namespaces.
func Need(t testing.TB) {
	t.Helper()
	if os.Getenv(inside) == "" {
		testenv.NeedUser(t)
		testenv.Skip(t, "a user namespace")
	}
}

// NeedIDs goes on only where subordinate ids are mapped.
func NeedIDs(t testing.TB) {
	t.Helper()
	Need(t)
	if os.Getenv(inside) != kindAll {
		testenv.NotFor(t, "subordinate ids")
	}
}

// OneID says that only the caller's id is mapped.
func OneID() bool { return os.Getenv(inside) == kindOne }

// served waits for the maps and runs the tests. A test's own children, and the
// workers of a fuzz run, have something else as descriptor 3, and maps already.
func served(m *testing.M) int {
	if os.Getenv(gateEnv) != "" {
		_ = os.Unsetenv(gateEnv)
		const gateFD = 3
		gate := os.NewFile(gateFD, "gate")
		_, _ = gate.Read(make([]byte, 1)) // until it is closed
		_ = gate.Close()
	}
	return m.Run()
}

// reexec runs this same program in new namespaces.
func reexec() (int, error) {
	uids, gids := ranges()
	kind := kindAll
	if len(uids) == 0 || len(gids) == 0 || testenv.Kind() == testenv.WithoutSubIDs {
		kind = kindOne
	}
	read, write, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), inside+"="+kind, gateEnv+"=1")
	cmd.ExtraFiles = []*os.File{read}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		AmbientCaps: allCaps(),
		Pdeathsig:   syscall.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	read.Close()
	if err := writeMaps(cmd.Process.Pid, kind, uids, gids); err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return 0, err
	}
	write.Close()
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), nil
	}
	return 0, err
}

func writeMaps(pid int, kind string, uids, gids []string) error {
	proc := fmt.Sprintf("/proc/%d/", pid)
	if kind == kindOne {
		if err := os.WriteFile(proc+"setgroups", []byte("deny"), 0); err != nil {
			return err
		}
		return errors.Join(
			os.WriteFile(proc+"uid_map", fmt.Appendf(nil, "0 %d 1", os.Getuid()), 0),
			os.WriteFile(proc+"gid_map", fmt.Appendf(nil, "0 %d 1", os.Getgid()), 0))
	}
	id := fmt.Sprint(pid)
	uidArgs := append([]string{id, "0", fmt.Sprint(os.Getuid()), "1", "1"}, uids...)
	gidArgs := append([]string{id, "0", fmt.Sprint(os.Getgid()), "1", "1"}, gids...)
	return errors.Join(exec.Command("newuidmap", uidArgs...).Run(), exec.Command("newgidmap", gidArgs...).Run())
}

// ranges are the first ranges of the user, as start and count.
func ranges() (uids, gids []string) { return firstRange("/etc/subuid"), firstRange("/etc/subgid") }

func firstRange(file string) []string {
	u, err := user.Current()
	if err != nil {
		return nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		parts := strings.Split(lines.Text(), ":")
		if len(parts) == 3 && (parts[0] == u.Username || parts[0] == u.Uid) {
			return parts[1:]
		}
	}
	return nil
}

// allCaps are the numbers of all capabilities that this kernel has.
func allCaps() []uintptr {
	last := 40
	if b, err := os.ReadFile("/proc/sys/kernel/cap_last_cap"); err == nil {
		_, _ = fmt.Sscan(string(b), &last)
	}
	caps := make([]uintptr, last+1)
	for i := range caps {
		caps[i] = uintptr(i)
	}
	return caps
}
