package events

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"rootlet/internal/lines"
	"rootlet/sandbox/record"
)

func read(t *testing.T, dir string) []Event {
	t.Helper()
	var all []Event
	if err := Read(dir, func(e Event) error { all = append(all, e); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestAnEventComesBackAsItWas(t *testing.T) {
	dir := t.TempDir()
	spec := &record.Spec{ID: "abc", Name: "web", Image: "debian", Labels: map[string]string{"a": "\x1b[31m\n"}}
	at := time.Unix(1700000000, 5).UTC()
	e := Of(spec, "die", "exitCode", "143")
	e.Time = at
	if err := Append(dir, e); err != nil {
		t.Fatal(err)
	}
	want := Event{at, Container, "die", "abc", map[string]string{"a": "\x1b[31m\n", "image": "debian", "name": "web", "exitCode": "143"}}
	if got := read(t, dir); len(got) != 1 || fmt.Sprint(got[0]) != fmt.Sprint(want) {
		t.Fatalf("got  %v\nwant %v", got, want)
	}
	info, err := os.Stat(filepath.Join(dir, current))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
}

func TestLabelsOfAnImageDoNotMakeALineLong(t *testing.T) {
	labels := map[string]string{}
	for i := range 2000 {
		labels[fmt.Sprintf("%0*d", i, i)] = strings.Repeat("\x00é", i)
	}
	e := Of(&record.Spec{ID: strings.Repeat("f", 64), Name: "web", Image: strings.Repeat("x", 9000), Labels: labels}, strings.Repeat("a", 9000), "exitCode", "1")
	e.Time = time.Now()
	line, err := e.line()
	if err != nil || len(line) > maxLine {
		t.Fatalf("a line of %d bytes, %v", len(line), err)
	}
	var got []Event
	if err := eachIn(lines.New(strings.NewReader(string(line)), maxLine), func(e Event) error { got = append(got, e); return nil }); err != nil || len(got) != 1 {
		t.Fatalf("read back: %v %v", got, err)
	}
	if a := got[0].Attributes; a["name"] != "web" || a["exitCode"] != "1" || !strings.HasPrefix(a["image"], "xxx") || len(a) < 5 {
		t.Errorf("attributes that are left: %.300v", a)
	}
}

func TestADamagedLineHidesNoOther(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) {
		t.Helper()
		f, err := os.OpenFile(filepath.Join(dir, current), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	for i, damage := range []string{`{"time":"20`, "\x00\x00\n", "null\n", `{"type":"container"}` + "\n", strings.Repeat("x", 99999)} {
		write(damage) // as of a full disk, a power cut, a stray write
		if err := Append(dir, Event{Type: Image, Action: "pull", ID: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	got := read(t, dir)
	if len(got) != 5 {
		t.Fatalf("got %v", got)
	}
	for i, e := range got {
		if e.ID != fmt.Sprint(i) {
			t.Errorf("event %d has id %s", i, e.ID)
		}
	}
}

func TestAFollowerSeesEachEventOnceAcrossRotations(t *testing.T) {
	dir := t.TempDir()
	// On a machine that is busy with other things a writer may not get on for longer than
	// that, and one that gives up writes where the follower has been.
	defer func(was time.Duration) { turnWait = was }(turnWait)
	turnWait = time.Minute
	const writers, each = 4, 3000
	if err := Append(dir, Event{Type: Image, Action: "pull", ID: "before"}); err != nil {
		t.Fatal(err)
	}
	done := errors.New("seen enough")
	seen := map[string]int{}
	ahead := make(chan struct{}, 2000) // writers stay less than a file ahead of the reader
	var following sync.WaitGroup
	following.Go(func() {
		err := Follow(t.Context(), dir, true, func(e Event) error {
			seen[e.ID]++
			if e.ID != "before" {
				<-ahead
			}
			if len(seen) == writers*each+1 {
				return done
			}
			return nil
		})
		if !errors.Is(err, done) {
			t.Error(err)
		}
	})
	pad := strings.Repeat("p", 300)
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for i := range each {
				ahead <- struct{}{}
				if err := Append(dir, Event{Type: Container, Action: "start", ID: fmt.Sprint(w, "-", i), Attributes: map[string]string{"pad": pad}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writing.Wait()
	following.Wait()
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s came %d times", id, n)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, before)); err != nil {
		t.Error("it never began a new file")
	}
}

func TestFollowEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if err := Follow(ctx, t.TempDir(), false, func(Event) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func FuzzLines(f *testing.F) {
	f.Add([]byte("\n{\"time\":\"2023-11-14T22:13:20Z\",\"type\":\"image\",\"action\":\"pull\",\"id\":\"x\"}\n{"))
	f.Add([]byte(strings.Repeat("y", maxLine*2) + "\n{}\n\n\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		// Whatever stands there, an event after it is read.
		e := Event{Type: Volume, Action: "create", ID: "last", Time: time.Unix(1, 0)}
		line, err := e.line()
		if err != nil {
			t.Fatal(err)
		}
		last := ""
		if err := eachIn(lines.New(strings.NewReader(string(b)+string(line)), maxLine), func(e Event) error { last = e.ID; return nil }); err != nil || last != "last" {
			t.Errorf("last is %q, %v", last, err)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	dir := b.TempDir()
	for b.Loop() {
		if err := Append(dir, Event{Type: Container, Action: "start", ID: "x"}); err != nil {
			b.Fatal(err)
		}
	}
}
