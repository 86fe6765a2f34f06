package cli

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"rootlet/internal/testenv"
	"rootlet/pull"
)

// aPull has n layers of different sizes in every state.
func aPull(n int) []pull.Event {
	states := []pull.State{pull.Exists, pull.Done, pull.Unpacking, pull.Fetching, pull.Waiting}
	var layers []pull.Event
	for i := range n {
		e := pull.Event{Index: i, Layer: fmt.Sprintf("sha256:%02x%062x", i, i), State: states[i*len(states)/n], Size: int64(i+1) * 12_345_678}
		switch e.State {
		case pull.Fetching:
			e.Fetched = e.Size * int64(i%4) / 4
		case pull.Unpacking, pull.Done:
			e.Fetched = e.Size
		}
		layers = append(layers, e)
	}
	return layers
}

func TestBars(t *testing.T) {
	var text strings.Builder
	for _, c := range []struct{ layers, columns, rows int }{
		{5, 80, 24}, {5, 200, 24}, {5, 50, 24}, {5, 20, 24}, {1, 80, 24}, {30, 80, 10}, {30, 80, 3}, {30, 80, 1}, {30, 1, 1},
	} {
		b := bars{layers: aPull(c.layers), columns: c.columns, rows: c.rows, speed: 45_600_000}
		fmt.Fprintf(&text, "--- %d layers, %d columns, %d rows\n", c.layers, c.columns, c.rows)
		for _, line := range b.lines() {
			text.WriteString(line + "|\n")
		}
	}
	testenv.Golden(t, "bars.golden", text.String())
}

func TestBarsFitTheTerminal(t *testing.T) {
	for layers := range 40 {
		for _, columns := range []int{1, 2, 10, 24, 40, 53, 54, 80, 300} {
			for _, rows := range []int{1, 2, 3, 4, 10, 24, 100} {
				lines := bars{layers: aPull(max(layers, 1)), columns: columns, rows: rows}.lines()
				if len(lines) > max(rows-1, 2) {
					t.Fatalf("%d layers in %d rows: %d lines", layers, rows, len(lines))
				}
				for _, line := range lines {
					if utf8.RuneCountInString(line) > max(columns-1, 1) {
						t.Fatalf("%d columns: %q", columns, line)
					}
				}
			}
		}
	}
}

func TestBarsShowNothingOfARegistrysOwn(t *testing.T) {
	b := bars{layers: []pull.Event{{Layer: "sha256:\x1b[2J\n", State: pull.Fetching, Size: -5, Fetched: -7}, {Layer: "x", Size: 1, Fetched: 100, State: pull.Fetching}}, columns: 80, rows: 24}
	for _, line := range b.lines() {
		if strings.ContainsAny(line, "\x1b\n") {
			t.Errorf("%q", line)
		}
	}
}

func TestSpeedometer(t *testing.T) {
	var s speedometer
	start := time.Unix(1_000_000_000, 0)
	at := func(ms, bytes int64) float64 { return s.add(start.Add(time.Duration(ms)*time.Millisecond), bytes) }
	if got := at(0, 0); got != 0 {
		t.Errorf("at the start: %v", got)
	}
	if got := at(1000, 500); got != 500 {
		t.Errorf("after a second: %v", got)
	}
	for ms := int64(1100); ms <= 10_000; ms += 100 {
		at(ms, 500+(ms-1000))
	}
	if got := at(10_100, 9600); got < 990 || got > 1010 {
		t.Errorf("steady: %v, want 1000", got)
	}
	for ms := int64(10_200); ms <= 14_000; ms += 100 {
		at(ms, 9600)
	}
	if got := at(14_100, 9600); got != 0 {
		t.Errorf("stalled: %v", got)
	}
	if len(s.marks) > 40 {
		t.Errorf("%d marks kept", len(s.marks))
	}
}

func TestScreen(t *testing.T) {
	var out bytes.Buffer
	s := screen{out: &out}
	said := func() string { defer out.Reset(); return out.String() }
	s.erase(80)
	if got := said(); got != "" {
		t.Errorf("nothing to erase: %q", got)
	}
	s.show([]string{"one", "two"}, 80)
	if got, want := said(), "\rone\x1b[K\r\ntwo\x1b[K\r\n\x1b[J"; got != want {
		t.Errorf("first: %q, want %q", got, want)
	}
	s.show([]string{"1234567890"}, 80)
	if got, want := said(), "\r\x1b[2A1234567890\x1b[K\r\n\x1b[J"; got != want {
		t.Errorf("second: %q, want %q", got, want)
	}
	s.erase(4) // by now the terminal has wrapped it into three rows
	if got, want := said(), "\r\x1b[3A\x1b[J"; got != want {
		t.Errorf("erased: %q, want %q", got, want)
	}
	s.erase(4)
	if got := said(); got != "" {
		t.Errorf("erased twice: %q", got)
	}
}

func TestLinesArePrintedAboveTheBars(t *testing.T) {
	var out bytes.Buffer
	p := &printer{out: &out}
	bars := &progress{printer: p, screen: &screen{out: &out}, size: func() (int, int) { return 80, 24 }, now: time.Now, ended: make(chan struct{})}
	p.clear = func() { bars.screen.erase(80) }
	bars.event([]byte(`{"Index":1,"Layer":"sha256:ab","State":1,"Fetched":5,"Size":10}`))
	bars.event([]byte(`{"Index":-1}`))
	bars.event([]byte(`{"Index":1000000}`))
	bars.event([]byte(`nonsense`))
	bars.draw()
	drawn := out.Len()
	p.notice("by the way")
	if got := out.String()[drawn:]; !strings.HasPrefix(got, "\r\x1b[3A\x1b[J") || !strings.HasSuffix(got, "rootlet: notice: by the way\n") {
		t.Errorf("%q", got)
	}
	bars.draw()
	bars.close()
	if got := out.String(); !strings.HasSuffix(got, "\x1b[J") || p.clear != nil {
		t.Errorf("closed: %q", got)
	}
}

func TestNoBarsWithoutATerminal(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	t.Setenv("TERM", "xterm")
	p := newProgress(&app{printer: &printer{out: null}}, false)
	if p != nil {
		t.Error("bars in /dev/null")
	}
	p.event([]byte(`{}`)) // and both do nothing
	p.close()
}
