package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestWhereFull(t *testing.T) {
	dir := t.TempDir()
	full := fmt.Errorf("write: %w", unix.ENOSPC)
	hint := func(err error) string {
		hinted, ok := err.(interface{ Hint() string })
		if !ok {
			return "none"
		}
		return hinted.Hint()
	}
	here, elsewhere := "df -h "+dir+": free some space there", "/proc" // a file system of its own
	for _, c := range []struct{ written, data, want string }{
		{dir, dir, here + ", or remove images with rootlet rmi"},
		{filepath.Join(dir, "x.tar"), dir, here + ", or remove images with rootlet rmi"},
		{filepath.Join(dir, "x.tar"), elsewhere, here},
		{dir, elsewhere, here},
		{"/dev/full", "/dev", ""},
	} {
		if got := hint(whereFull(full, c.written, c.data)); got != c.want {
			t.Errorf("%s: %q, not %q", c.written, got, c.want)
		}
	}
	if err := whereFull(os.ErrExist, dir, dir); err != os.ErrExist {
		t.Errorf("another error: %v", err)
	}
	if err := whereFull(nil, dir, dir); err != nil {
		t.Error(err)
	}
}
