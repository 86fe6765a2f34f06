package fuseoverlay

import (
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"rootlet/internal/need"
)

// What a host lacks is told by its line; what is wrong with the layers is not.
func TestMountErrorsNeed(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{unix.EPERM, need.RootFilesystem},
		{errors.New("fuse-overlayfs is not installed"), need.RootFilesystem},
		{fmt.Errorf("copy: %w", unix.ENOSPC), need.Storage},
		{unix.EROFS, need.Storage},
		{fmt.Errorf("layer: %w", unix.ENOENT), ""},
		{&DamagedError{What: "layer", Err: unix.EIO}, ""},
	} {
		if got := need.Of(fmt.Errorf("step: %w", &MountError{Driver: Native, Err: c.err})); got != c.want {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}
