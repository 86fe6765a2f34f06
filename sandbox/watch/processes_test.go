package watch

import (
	"os"
	"os/exec"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"rootlet/internal/testenv"
)

func memfd(t *testing.T, size int) *os.File {
	t.Helper()
	fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "memfd")
	t.Cleanup(func() { f.Close() })
	if err := unix.Fallocate(fd, 0, 0, int64(size)); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestAll(t *testing.T) {
	h := newHost(t)
	h.process(11, "its", 0, 0, 0)
	h.process(12, "nested", 0, 0, 0)
	h.process(13, "own", 0, 0, 0) // a helper
	h.write("14/statm", "0 0\n")  // it has ended
	h.write("sys/kernel/x", "")
	h.write("11/task/99/stat", "")
	p := h.processes()
	all, err := p.All()
	var pids []int
	for _, process := range all {
		pids = append(pids, process.PID)
	}
	slices.Sort(pids)
	if err != nil || !slices.Equal(pids, []int{11, 12}) {
		t.Errorf("%v, %v", pids, err)
	}
	if n, err := p.Tasks(100); err != nil || n != 3 {
		t.Errorf("%d tasks, %v", n, err)
	}
	again, err := p.All() // the directory is read from its beginning
	if err != nil || len(again) != 2 {
		t.Errorf("%v, %v", again, err)
	}
}

// TestUnlinked asks of a real process, with the host's /proc.
func TestUnlinked(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(make([]byte, 3*mib)); err != nil {
		t.Fatal(err)
	}
	var at, root unix.Stat_t
	if unix.Fstat(int(f.Fd()), &at) != nil || unix.Stat("/", &root) != nil || at.Dev != root.Dev {
		testenv.NotFor(t, "the directory for tests is on another file system than /")
	}
	held := memfd(t, 5*mib)
	cmd := exec.Command("sleep", "60")
	cmd.ExtraFiles = []*os.File{f, f, held}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	p, err := Listed(func() ([]int, error) { return []int{cmd.Process.Pid}, nil })
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if got := p.Unlinked(); got != 0 {
		t.Errorf("%d, and it has a name", got)
	}
	if err := os.Remove(f.Name()); err != nil {
		t.Fatal(err)
	}
	if got := p.Unlinked(); got < 3*mib || got > 4*mib {
		t.Errorf("%d", got)
	}
	if got := p.Lent(); got != 5*mib {
		t.Errorf("in memory: %d", got)
	}
}
