package slirp

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestGiveAndTake(t *testing.T) {
	for _, count := range []int{0, 1, 3*givenAtOnce + 7} {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		to := os.NewFile(uintptr(fds[0]), "to")
		defer to.Close() // after take has seen the end
		defer unix.Close(fds[1])
		text := `{"a":"` + strings.Repeat("x", 1<<20) + `"}`
		sent := make(chan error, 1)
		go func() {
			null, err := os.Open(os.DevNull)
			if err == nil {
				files := make([]*os.File, count)
				for i := range files {
					files[i] = null
				}
				err = give(to, []byte(text), files)
			}
			sent <- err
		}()
		got, came, err := take(fds[1])
		if err != nil || <-sent != nil {
			t.Fatal(err)
		}
		for _, fd := range came {
			_ = unix.Close(fd)
		}
		if strings.TrimLeft(string(got), " ") != text || len(came) != count {
			t.Errorf("%d descriptors: %d came, and %d bytes", count, len(came), len(got))
		}
	}
}
