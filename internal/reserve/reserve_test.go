package reserve

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"strings"
	"testing"
)

func TestKept(t *testing.T) {
	for _, c := range []struct {
		all     uint64
		percent int
		want    uint64
	}{
		{1000, 0, 50},
		{1000, 1, 10},
		{1000, 99, 990},
		{1000, 100, 50},
		{40 << 20, 50, 20 << 20},
		{math.MaxUint64, 99, 10 << 30},
		{1000, -1, 50},
		{1 << 50, 5, 10 << 30},
		{0, 5, 0},
	} {
		if got := kept(c.all, c.percent); got != c.want {
			t.Errorf("%d%% of %d: %d, want %d", c.percent, c.all, got, c.want)
		}
	}
}

func TestStep(t *testing.T) {
	for left, want := range map[uint64]int64{0: leastStep, 16 << 20: 1 << 20, math.MaxUint64: mostStep} {
		if got := step(left); got != want {
			t.Errorf("%d bytes are left: %d, want %d", left, got, want)
		}
	}
}

// TestItLooksAgain has the disk go away while something is read.
func TestItLooksAgain(t *testing.T) {
	w := On(int(openDir(t).Fd()), 1)
	r := w.Reader(bytes.NewReader(make([]byte, 2*mostStep)))
	if _, err := io.CopyN(io.Discard, r, leastStep); err != nil {
		t.Fatal(err)
	}
	w.fd = -1
	n, err := io.Copy(io.Discard, r)
	if err == nil || !strings.Contains(err.Error(), "how full") || n > mostStep {
		t.Errorf("no second look: %d, %v", n, err)
	}
}

func TestWhatHasNoRoomNeedNotBegin(t *testing.T) {
	w := On(int(openDir(t).Fd()), 1)
	if err := w.Look(1); err != nil {
		t.Fatal(err)
	}
	for _, take := range []func(int64) error{w.Look, w.Take} {
		var limited interface{ LimitKey() string }
		if err := take(math.MaxInt64); !errors.As(err, &limited) || limited.LimitKey() != "free-disk" {
			t.Error(err)
		}
	}
	if err := error(&fullError{keep: 1 << 30}); err.Error() != "1024 MiB of the disk are kept free (limit free-disk)" {
		t.Error(err)
	}
}

func openDir(t *testing.T) *os.File {
	t.Helper()
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	return dir
}
