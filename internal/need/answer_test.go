package need

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAnswer(t *testing.T) {
	for _, c := range []struct {
		err        error
		hint, name string
	}{
		{fmt.Errorf("open parent: %w", unix.ENOSYS), "Linux 5.13", Kernel},
		{&os.PathError{Op: "fork/exec", Path: "/proc/self/exe", Err: unix.EMFILE}, "ulimit -n", TimeToStart},
		{&os.PathError{Op: "fork/exec", Path: "/proc/self/exe", Err: unix.EAGAIN}, "ulimit -u", TimeToStart},
		{os.NewSyscallError("clone", unix.EAGAIN), "ulimit -u", TimeToStart},
		{&os.PathError{Op: "read", Path: "x", Err: unix.EAGAIN}, "", ""},
		{fmt.Errorf("write x: %w", unix.EFBIG), "ulimit -f", Storage},
		{fmt.Errorf("write x: %w", unix.ENOSPC), "", Storage},
		{errors.New("what else"), "", ""},
		{nil, "", ""},
	} {
		hint, name := Answer(c.err)
		if !strings.Contains(hint, c.hint) || (hint == "") != (c.hint == "") || name != c.name {
			t.Errorf("%v: %q, %q: want %q, %q", c.err, hint, name, c.hint, c.name)
		}
	}
}
