package fuseoverlay

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
)

func TestKeepFree(t *testing.T) {
	for _, c := range []struct {
		all     uint64
		percent int
		want    uint64
	}{
		{1000, 0, 50},
		{1000, 1, 10},
		{1000, 100, 1000},
		{1000, -1, 50},
		{1000, 101, 50},
		{1 << 50, 5, 10 << 30},
		{0, 5, 0},
	} {
		if got := keepFree(c.all, c.percent); got != c.want {
			t.Errorf("%d%% of %d: %d, want %d", c.percent, c.all, got, c.want)
		}
	}
}

// TestReserveLooksAgain has the disk go away while an archive is read.
func TestReserveLooksAgain(t *testing.T) {
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	r := &reserve{tar: bytes.NewReader(make([]byte, 2*reserveStep)), dir: int(dir.Fd()), percent: 1}
	if _, err := io.CopyN(io.Discard, r, reserveStep); err != nil {
		t.Fatal(err)
	}
	r.dir = -1
	if _, err := io.Copy(io.Discard, r); err == nil || !strings.Contains(err.Error(), "how full") {
		t.Errorf("no second look: %v", err)
	}
	var limited interface{ LimitKey() string }
	if full := error(&fullError{keep: 1 << 30}); !errors.As(full, &limited) || !strings.Contains(full.Error(), "1024 MiB") {
		t.Error(full)
	}
}
