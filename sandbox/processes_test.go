package sandbox

import (
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"rootlet/internal/testenv"
	"rootlet/sandbox/record"
)

func TestProcessesFindsThoseOfAPidNamespaceAndBelow(t *testing.T) {
	testenv.NeedUserNS(t)
	testenv.NeedProgram(t, "unshare")
	// Two in the namespace, and one in a namespace of its own below.
	cmd := exec.Command("sh", "-c", "unshare -fp sleep 60 & sleep 60 & wait")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	const want = 4 // sh, unshare, and the two that sleep
	var pids []int
	for end := time.Now().Add(10 * time.Second); len(pids) != want && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		var err error
		if pids, err = Processes(record.State{PID: cmd.Process.Pid}); err != nil {
			t.Fatal(err)
		}
	}
	if len(pids) != want {
		t.Fatalf("got %v, want %d of them", pids, want)
	}
	if !slices.Contains(pids, cmd.Process.Pid) || slices.Contains(pids, os.Getpid()) {
		t.Errorf("got %v; want %d in it, and not %d", pids, cmd.Process.Pid, os.Getpid())
	}
}

func TestProcessesOfNobody(t *testing.T) {
	if pids, err := Processes(record.State{PID: 1 << 30}); err == nil {
		t.Errorf("got %v, want an error", pids)
	}
}
