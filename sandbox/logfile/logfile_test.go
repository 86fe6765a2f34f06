package logfile

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func write(t *testing.T, dir string, do func(w *Writer)) {
	t.Helper()
	w, err := Create(dir, func() time.Time { return time.Unix(1700000000, 5) })
	if err != nil {
		t.Fatal(err)
	}
	do(w)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, dir string) []Line {
	t.Helper()
	var lines []Line
	if err := Read(dir, func(l Line) error { lines = append(lines, l); return nil }); err != nil {
		t.Fatal(err)
	}
	return lines
}

func TestARecordIsDockers(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, func(w *Writer) { w.Write(Stderr, []byte("<a> \x1b[0m\n")) })
	got, _ := os.ReadFile(filepath.Join(dir, Name))
	want := `{"log":"\u003ca\u003e \u001b[0m\n","stream":"stderr","time":"2023-11-14T22:13:20.000000005Z"}` + "\n"
	if string(got) != want {
		t.Fatalf("got  %s\nwant %s", got, want)
	}
}

func TestPartialLinesAreJoinedAndLongOnesCut(t *testing.T) {
	dir := t.TempDir()
	long := strings.Repeat("x", maxLine+10)
	write(t, dir, func(w *Writer) {
		w.Write(Stdout, []byte("one "))
		w.Write(Stderr, []byte("other\n"))
		w.Write(Stdout, []byte("line\ntwo\nrest"))
		w.Write(Stderr, []byte(long))
		w.Write(Stderr, []byte("\n"))
	})
	var got []string
	for _, l := range read(t, dir) {
		got = append(got, string(l.Stream[3:4])+":"+l.Log)
	}
	want := []string{"e:other\n", "o:one line\n", "o:two\n", "e:" + long[:maxLine], "e:" + long[maxLine:] + "\n", "o:rest"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("got %d records %.200q", len(got), got)
	}
}

// FuzzRecord holds the encoder against the standard library's.
func FuzzRecord(f *testing.F) {
	f.Add([]byte("<a>&\x00\x1f\x7f\"\\\b\f\n\r\t\u2028\u2029é\xff\xc3(\xed\xa0\x80"), int64(1))
	f.Fuzz(func(t *testing.T, text []byte, at int64) {
		when := time.Unix(at%(1<<33), at%1e9).UTC()
		want, err := json.Marshal(Line{Log: string(text), Stream: Stderr, Time: when})
		if err != nil {
			return // a year that JSON cannot hold
		}
		if got := appendRecord(nil, text, Stderr, stamp(when)); string(got) != string(want)+"\n" {
			t.Errorf("%q:\ngot  %swant %s", text, got, want)
		}
	})
}

func BenchmarkWrite(b *testing.B) {
	w, err := Create(b.TempDir(), time.Now)
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close()
	chunk := []byte(strings.Repeat("abcdefghijklmnopqrstuvwxyz\n", 1200))
	b.SetBytes(int64(len(chunk)))
	for b.Loop() {
		w.Write(Stdout, chunk)
		if w.file.Truncate(0) != nil {
			b.Fatal("truncate")
		}
	}
}

func TestTail(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, func(w *Writer) {
		for i := range 1000 {
			w.Write(Stdout, fmt.Appendf(nil, "line %d\n", i))
		}
		w.Write(Stdout, []byte(strings.Repeat("y", maxLine+1)+"\n"))
	})
	for n, want := range map[int]string{0: "", 1: "yyyy", 2: "line 999\n", 3: "line 998\n", 5000: "line 0\n"} {
		lines, err := Tail(dir, n)
		if err != nil {
			t.Fatal(err)
		}
		if want == "" {
			if len(lines) != 0 {
				t.Errorf("tail 0 gives %d records", len(lines))
			}
			continue
		}
		if !strings.HasPrefix(lines[0].Log, want) {
			t.Errorf("tail %d begins with %.20q, want %q", n, lines[0].Log, want)
		}
	}
}

func TestACutRecordIsLeftOut(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, func(w *Writer) { w.Write(Stdout, []byte("whole\n")) })
	f, _ := os.OpenFile(filepath.Join(dir, Name), os.O_APPEND|os.O_WRONLY, 0)
	f.WriteString(`{"log":"cu`)
	f.Close()
	if lines := read(t, dir); len(lines) != 1 || lines[0].Log != "whole\n" {
		t.Fatalf("got %v", lines)
	}
}

func TestAFullDiskStopsTheLogOnly(t *testing.T) {
	w := &Writer{partial: map[Stream][]byte{}, now: time.Now}
	var err error
	if w.file, err = os.OpenFile("/dev/full", os.O_WRONLY, 0); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		w.Write(Stdout, []byte("lost\n"))
	}
	if err := w.Close(); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Fatalf("got %v", err)
	}
}
