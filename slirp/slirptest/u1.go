package slirptest

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"rootlet/internal/stage"
	"rootlet/internal/testenv"
	"rootlet/slirp"
)

// The test binary plays three parts: the test itself, the same test again inside
// U1 (named by innerEnv), and a container that does as it is told (argv[0] is
// containerName).
const (
	innerEnv      = "SLIRP_TEST_U1"
	containerName = "slirp-test-container"
)

// init keeps main on the first thread, as that of the binary does: no other goroutine
// shall have it join a container's network.
func init() { runtime.LockOSThread() }

// Main is what TestMain of a package that calls Run does.
func Main(m *testing.M) {
	if os.Args[0] == containerName {
		serveContainer(os.Stdin, os.Stdout)
		os.Exit(0)
	}
	if os.Args[0] == stage.Network {
		os.Exit(slirp.Serve(os.Args[1:]))
	}
	if os.Getenv(innerEnv) != "" {
		_, _ = os.Stdin.Read(make([]byte, 1)) // the maps are written
	}
	os.Exit(m.Run())
}

// inU1 runs the calling test again in a user and mount namespace like the
// monitor's, where it returns true; outside it reports what happened there and
// returns false.
func inU1(t *testing.T, driver string, withSubIDs bool) bool {
	if os.Getenv(innerEnv) != "" {
		return true
	}
	testenv.NeedUser(t)
	testenv.NeedUserNS(t)
	if driver != slirp.Builtin {
		testenv.NeedProgram(t, driver)
	}
	needTun(t)
	if withSubIDs {
		testenv.NeedSubIDs(t)
	}
	out, err := runInU1(t, withSubIDs)
	switch {
	case err != nil:
		t.Errorf("in U1: %v\n%s", err, out)
	case strings.Contains(out, "--- SKIP"):
		testenv.Skip(t, "what its run in U1 needs: "+out)
	default:
		t.Logf("in U1:\n%s", out)
	}
	return false
}

func needTun(t *testing.T) {
	t.Helper()
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		testenv.Skip(t, "a tun device: "+err.Error())
		return
	}
	_ = f.Close()
}

func runInU1(t *testing.T, withSubIDs bool) (string, error) {
	pattern := "^" + strings.ReplaceAll(t.Name(), "/", "$/^") + "$"
	cmd := exec.Command("/proc/self/exe", "-test.run="+pattern, "-test.v")
	cmd.Env = append(os.Environ(), innerEnv+"=1")
	release, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS, AmbientCaps: everyCapability(),
		Pdeathsig: syscall.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := writeMaps(cmd.Process.Pid, withSubIDs); err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		t.Fatal(err)
	}
	_, _ = release.Write([]byte{1})
	err = cmd.Wait()
	return out.String(), err
}

func everyCapability() (caps []uintptr) {
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		caps = append(caps, c)
	}
	return caps
}

// writeMaps maps 0 to the caller, and 1 and up to its sub-ids if asked.
func writeMaps(pid int, withSubIDs bool) error {
	if !withSubIDs {
		dir := fmt.Sprintf("/proc/%d/", pid)
		if err := os.WriteFile(dir+"setgroups", []byte("deny"), 0); err != nil {
			return err
		}
		if err := os.WriteFile(dir+"gid_map", fmt.Appendf(nil, "0 %d 1", os.Getgid()), 0); err != nil {
			return err
		}
		return os.WriteFile(dir+"uid_map", fmt.Appendf(nil, "0 %d 1", os.Getuid()), 0)
	}
	me, err := user.Current()
	if err != nil {
		return err
	}
	start, size, err := subIDs(me.Username)
	if err != nil {
		return err
	}
	for tool, id := range map[string]string{"newuidmap": me.Uid, "newgidmap": me.Gid} {
		out, err := exec.Command(tool, strconv.Itoa(pid), "0", id, "1", "1", start, size).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s: %w: %s", tool, err, out)
		}
	}
	return nil
}

// subIDs is the user's first range; tests need one, and the same for both kinds.
func subIDs(name string) (start, size string, err error) {
	table, err := os.ReadFile("/etc/subuid")
	for line := range strings.Lines(string(table)) {
		if f := strings.Split(strings.TrimSpace(line), ":"); len(f) == 3 && f[0] == name {
			return f[1], f[2], nil
		}
	}
	return "", "", fmt.Errorf("no sub-ids for %s: %v", name, err)
}
