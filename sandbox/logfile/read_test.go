package logfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rootlet/sandbox/record"
)

func TestTail(t *testing.T) {
	for _, size := range []int64{0, 5000} {
		dir := t.TempDir()
		write(t, dir, record.Log{MaxSize: size, MaxFiles: 1000}, func(w *Writer) {
			for i := range 1000 {
				w.Write(Stdout, fmt.Appendf(nil, "line %d\n", i))
			}
			w.Write(Stdout, []byte(strings.Repeat("y", maxLine+1)+"\n"))
		})
		for n, want := range map[int]string{0: "", 1: "yyyy", 2: "line 999\n", 3: "line 998\n", 700: "line 301\n", 5000: "line 0\n"} {
			lines := read(t, dir, Options{Tail: n})
			if want == "" {
				if len(lines) != 0 {
					t.Errorf("tail 0 gives %d records", len(lines))
				}
				continue
			}
			if len(lines) == 0 || !strings.HasPrefix(lines[0].Log, want) {
				t.Errorf("tail %d begins with %.20q, want %q", n, text(lines), want)
			}
			if more := len(lines) - n; more > 1 {
				t.Errorf("tail %d gives %d records", n, len(lines))
			}
		}
	}
}

func TestTailOfALineWithoutAnEnd(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, record.Log{}, func(w *Writer) {
		w.Write(Stdout, []byte("one\ntwo\n"+strings.Repeat("z", maxLine)+"zz"))
	})
	for n, want := range map[int]int{0: 0, 1: 2, 2: 3, 3: 4, 9: 4} {
		if got := read(t, dir, Options{Tail: n}); len(got) != want {
			t.Errorf("tail %d gives %d records, want %d", n, len(got), want)
		}
	}
}

func TestSinceAndUntil(t *testing.T) {
	dir := t.TempDir()
	now := clock()
	w, err := Create(dir, record.Log{}, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"a\n", "b\n", "c\n", "d\n"} {
		w.Write(Stdout, []byte(word))
		now = now.Add(time.Second)
	}
	w.Close()
	at := func(s int) time.Time { return clock().Add(time.Duration(s) * time.Second) }
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{Tail: All, Since: at(1)}, "o:b\n|o:c\n|o:d\n|"},
		{Options{Tail: All, Until: at(1)}, "o:a\n|o:b\n|"},
		{Options{Tail: All, Since: at(1), Until: at(2)}, "o:b\n|o:c\n|"},
		{Options{Tail: 2, Until: at(2)}, "o:c\n|"},
	} {
		if got := text(read(t, dir, c.o)); got != c.want {
			t.Errorf("%+v: got %q", c.o, got)
		}
	}
}

func TestDamagedRecordsHideNoOthers(t *testing.T) {
	dir := t.TempDir()
	good := `{"log":"good %d\n","stream":"stdout","time":"2023-11-14T22:13:20Z"}` + "\n"
	bad := []string{
		"\x00\x00\x00\n", "{}\n", `{"log":"x","stream":"stdlog","time":"2023-11-14T22:13:20Z"}` + "\n",
		strings.Repeat("a", 3*maxRecord) + "\n", `{"log":"cut` + "\n",
	}
	file := ""
	for i, b := range bad {
		file += b + fmt.Sprintf(good, i)
	}
	if err := os.WriteFile(filepath.Join(dir, Name), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	for n := range bad {
		lines := read(t, dir, Options{Tail: n + 1})
		if len(lines) != n+1 || lines[n].Log != "good 4\n" {
			t.Errorf("tail %d: %q", n+1, text(lines))
		}
	}
}

// What a writer writes at full speed into files that are soon full, a follower
// who keeps up sees once and in order; so does one who reads what is there.
func TestAFollowerSeesEachLineOnceAcrossRotations(t *testing.T) {
	for _, count := range []int{1, 3} {
		dir := t.TempDir()
		const total = 60000
		w, err := Create(dir, record.Log{MaxSize: 300 << 10, MaxFiles: count}, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		ahead := make(chan struct{}, 2000) // less than a file
		var up atomic.Bool
		up.Store(true)
		var writing sync.WaitGroup
		writing.Go(func() {
			for i := range total {
				ahead <- struct{}{}
				// Some lines come in two pieces, some two at a time.
				line := fmt.Appendf(nil, "%d\n", i)
				w.Write(Stdout, line[:i%2])
				w.Write(Stdout, line[i%2:])
			}
			if err := w.Close(); err != nil {
				t.Error(err)
			}
			up.Store(false)
			if err := os.WriteFile(filepath.Join(dir, "state.json"), nil, 0o600); err != nil {
				t.Error(err)
			}
		})
		next := 0
		damaged, err := Follow(t.Context(), dir, Options{Tail: All}, Follower{Up: func(bool) bool { return up.Load() }, Each: func(l Line) error {
			<-ahead
			if want := fmt.Sprintf("%d\n", next); l.Log != want {
				return fmt.Errorf("got %q, want %q", l.Log, want)
			}
			next++
			return nil
		}})
		if err != nil || damaged != 0 || next != total {
			t.Fatalf("%d files: after %d lines, %d damaged: %v", count, next, damaged, err)
		}
		writing.Wait()
	}
}

// Readers who come and go while files change their names see lines in order
// and without a gap.
func TestReadersAmongRotations(t *testing.T) {
	dir := t.TempDir()
	w, err := Create(dir, record.Log{MaxSize: 20 << 10, MaxFiles: 4}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer stop()
	var writing sync.WaitGroup
	writing.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			w.Write(Stdout, fmt.Appendf(nil, "%d\n", i))
		}
		w.Close()
	})
	for tail := 0; ctx.Err() == nil; tail = (tail + 37) % 900 {
		o, last := Options{Tail: tail}, -1
		if tail == 0 {
			o.Tail = All
		}
		_, err := Read(dir, o, func(l Line) error {
			var n int
			if _, err := fmt.Sscan(l.Log, &n); err != nil {
				return err
			}
			if last >= 0 && n != last+1 {
				return fmt.Errorf("%d comes after %d", n, last)
			}
			last = n
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	writing.Wait()
}

func TestFollowEnds(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	f := Follower{Each: func(Line) error { return nil }, Up: func(bool) bool { return true }}
	f.Idle = func() error { time.AfterFunc(20*time.Millisecond, cancel); return nil }
	if _, err := Follow(ctx, dir, Options{Tail: All}, f); !errors.Is(err, context.Canceled) {
		t.Errorf("with its context: %v", err)
	}
	// The container is removed.
	f.Up = func(bool) bool { _, err := os.Stat(dir); return !errors.Is(err, fs.ErrNotExist) }
	f.Idle = func() error {
		time.AfterFunc(20*time.Millisecond, func() {
			_ = os.Rename(dir, dir+".removed")
			_ = os.RemoveAll(dir + ".removed")
		})
		return nil
	}
	if _, err := Follow(t.Context(), dir, Options{Tail: All}, f); err != nil {
		t.Errorf("with its container: %v", err)
	}
}

// The last lines of a large log are found without reading the rest.
func TestTailOfALargeLog(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, Name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("\n"+`{"log":"end\n","stream":"stdout","time":"2023-11-14T22:13:20Z"}`+"\n"), 1<<40); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if got := text(read(t, dir, Options{Tail: 0})); got != "" {
		t.Errorf("got %q", got)
	}
	f2 := `{"log":"end\n","stream":"stdout","time":"2023-11-14T22:13:20Z"}` + "\n"
	for range 10 {
		if _, err := f.Seek(0, 2); err != nil {
			t.Fatal(err)
		}
		f.WriteString(f2)
	}
	if got := read(t, dir, Options{Tail: 10}); len(got) != 10 {
		t.Errorf("got %d lines", len(got))
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("a terabyte took %v", took)
	}
}
