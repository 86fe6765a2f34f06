package lines

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

// drip gives a few bytes at a time, and says that it is at its end in between.
type drip struct {
	left []byte
	n    int
	dry  bool
}

func (d *drip) Read(b []byte) (int, error) {
	if d.dry = !d.dry; d.dry || len(d.left) == 0 {
		return 0, io.EOF
	}
	n := copy(b, d.left[:min(d.n, len(d.left))])
	d.left = d.left[n:]
	return n, nil
}

func all(t *testing.T, d *drip, max int) []string {
	t.Helper()
	var got []string
	l := New(d, max)
	for last := 0; last < 3; {
		line, err := l.Next()
		switch {
		case err == nil:
			got = append(got, string(line))
		case !errors.Is(err, io.EOF):
			t.Fatal(err)
		case len(d.left) == 0:
			last++
		}
	}
	return got
}

func FuzzLines(f *testing.F) {
	f.Add([]byte("one\n\ntwo\nthree"), uint8(2))
	f.Add([]byte(strings.Repeat("x", 40)+"\nshort\n"+strings.Repeat("y", 20)+"\n"), uint8(7))
	f.Fuzz(func(t *testing.T, text []byte, n uint8) {
		const max = 20
		var want []string
		for line := range bytes.Lines(text) {
			if line[len(line)-1] == '\n' && len(line) <= max {
				want = append(want, string(line[:len(line)-1]))
			}
		}
		got := all(t, &drip{left: text, n: int(n) + 1}, max)
		if strings.Join(got, "\n") != strings.Join(want, "\n") || len(got) != len(want) {
			t.Errorf("%q by %d: got %q, want %q", text, n, got, want)
		}
	})
}

func TestLinesLongerThanTheBuffer(t *testing.T) {
	long := strings.Repeat("z", 100<<10)
	got := all(t, &drip{left: []byte(long + "\nend\n" + long + long + "\nlast\n"), n: 1 << 20}, 150<<10)
	if len(got) != 3 || got[0] != long || got[1] != "end" || got[2] != "last" {
		t.Fatalf("got %d lines", len(got))
	}
}
