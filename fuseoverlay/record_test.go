package fuseoverlay

import (
	"os"
	"path/filepath"
	"testing"
)

// TestTheDriverIsWrittenOnce: others read it while a container is mounted again.
func TestTheDriverIsWrittenOnce(t *testing.T) {
	m := &mounting{options: MountOptions{Dir: t.TempDir()}, driver: Copy}
	var first os.FileInfo
	for range 2 {
		if err := m.recordDriver(); err != nil {
			t.Fatal(err)
		}
		now, err := os.Stat(filepath.Join(m.options.Dir, driverFile))
		if err != nil {
			t.Fatal(err)
		}
		if first != nil && (!os.SameFile(first, now) || !first.ModTime().Equal(now.ModTime())) {
			t.Error("it was written again")
		}
		first = now
	}
	if got, err := recordedDriver(m.options.Dir); err != nil || got != Copy {
		t.Errorf("it says %q, %v", got, err)
	}
	if left, err := filepath.Glob(filepath.Join(m.options.Dir, ".*")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
