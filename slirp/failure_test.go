package slirp

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"rootlet/slirp/gate"
)

func TestTunErrorHint(t *testing.T) {
	for errno, want := range map[syscall.Errno]string{
		syscall.EACCES: "as root: chmod 0666 /dev/net/tun",
		syscall.EPERM:  "as root: chmod 0666 /dev/net/tun",
		syscall.ENODEV: "as root: modprobe tun",
		syscall.ENXIO:  "as root: modprobe tun",
		syscall.ENOENT: "as root: modprobe tun; in a container, give it the device /dev/net/tun",
		syscall.EMFILE: "",
	} {
		f := &Failure{Step: "s", Err: &TunError{Err: errno}}
		if got := f.Hint(); got != want {
			t.Errorf("%v: %q, want %q", errno, got, want)
		}
		if !errors.Is(f, errno) {
			t.Errorf("%v does not unwrap", errno)
		}
	}
}

func TestExplain(t *testing.T) {
	cause := errors.New("exit status 1")
	missing := filepath.Join(t.TempDir(), "tun")
	f := explain("step", cause, "open(\"/dev/net/tun\"): no", missing)
	var tun *TunError
	if !errors.As(f, &tun) || !errors.Is(f, os.ErrNotExist) {
		t.Errorf("missing device: %v", f)
	}
	if err := os.WriteFile(missing, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f = explain("step", cause, "a\nb", missing)
	if got := f.Error(); got != "step: exit status 1: a; b" || !errors.Is(f, cause) {
		t.Errorf("present device: %q", got)
	}
}

func TestOldProgramHint(t *testing.T) {
	f := &Failure{Err: errors.New("x"), Output: "slirp4netns: unrecognized option '--enable-sandbox'"}
	if !strings.Contains(f.Hint(), "0.4.0") {
		t.Errorf("hint %q", f.Hint())
	}
}

func TestNoGateHint(t *testing.T) {
	f := &Failure{Err: errors.New("x"), Output: "egress: " + gate.Lacking + ": nftables: operation not supported"}
	if !strings.Contains(f.Hint(), "--network builtin") {
		t.Errorf("hint %q", f.Hint())
	}
}

func TestTailIsBoundedAndPrintable(t *testing.T) {
	var end tail
	for range 1000 {
		if n, err := end.Write([]byte("0123456789")); n != 10 || err != nil {
			t.Fatal(n, err)
		}
	}
	_, _ = end.Write([]byte("\x1b]0;x\x07\xff\nlast\n"))
	got := end.String()
	if len(got) > tailSize+3 || !strings.HasSuffix(got, "]0;x?\nlast") || strings.ContainsAny(got, "\x1b\x07") {
		t.Errorf("%d bytes: %q", len(got), got[max(0, len(got)-30):])
	}
}
