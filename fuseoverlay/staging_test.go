package fuseoverlay

import (
	"os"
	"os/exec"
	"testing"

	"rootlet/internal/testenv"

	"golang.org/x/sys/unix"
)

// Layers are said to have nothing to do with each other, wherever chattr(1) can say
// it, in a store that is there already too.
func TestStagedLayersAreSpread(t *testing.T) {
	chattr := testenv.NeedProgram(t, "chattr")
	base := t.TempDir()
	can := exec.Command(chattr, "+T", base).Run() == nil
	if can && exec.Command(chattr, "-T", base).Run() != nil {
		t.Fatal("chattr cannot take away what it gave")
	}
	for range 2 { // the second time it is so already
		spread(base)
		f, err := os.Open(base)
		if err != nil {
			t.Fatal(err)
		}
		flags, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS)
		f.Close()
		if is := err == nil && flags&topDir != 0; is != can {
			t.Errorf("the attribute T: %v (flags %#x, %v); chattr can set it: %v", is, flags, err, can)
		}
	}
	spread(base + "/not there")
}
