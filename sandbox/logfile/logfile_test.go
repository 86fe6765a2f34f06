package logfile

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"rootlet/sandbox/record"
)

func clock() time.Time { return time.Unix(1700000000, 5) }

func write(t *testing.T, dir string, c record.Log, do func(w *Writer)) {
	t.Helper()
	w, err := Create(dir, c, clock)
	if err != nil {
		t.Fatal(err)
	}
	do(w)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, dir string, o Options) (lines []Line) {
	t.Helper()
	if _, err := Read(dir, o, func(l Line) error { lines = append(lines, l); return nil }); err != nil {
		t.Fatal(err)
	}
	return lines
}

// text is what the records say, with the last letter of each one's stream.
func text(lines []Line) string {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(string(l.Stream[3]) + ":" + l.Log + "|")
	}
	return b.String()
}

func TestARecordIsDockers(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, record.Log{}, func(w *Writer) { w.Write(Stderr, []byte("<a> \x1b[0m\n")) })
	got, _ := os.ReadFile(filepath.Join(dir, Name))
	want := `{"log":"\u003ca\u003e \u001b[0m\n","stream":"stderr","time":"2023-11-14T22:13:20.000000005Z"}` + "\n"
	if string(got) != want {
		t.Fatalf("got  %s\nwant %s", got, want)
	}
}

func TestPartialLinesAreJoinedAndLongOnesCut(t *testing.T) {
	dir := t.TempDir()
	long := strings.Repeat("x", maxLine+10)
	write(t, dir, record.Log{}, func(w *Writer) {
		w.Write(Stdout, []byte("one "))
		w.Write(Stderr, []byte("other\n"))
		w.Write(Stdout, []byte("line\ntwo\nrest"))
		w.Write(Stderr, []byte(long))
		w.Write(Stderr, []byte("\n"))
	})
	want := "e:other\n|o:one line\n|o:two\n|e:" + long[:maxLine] + "|e:" + long[maxLine:] + "\n|o:rest|"
	if got := text(read(t, dir, Options{Tail: All})); got != want {
		t.Fatalf("got %.200q", got)
	}
}

func TestACharacterIsNotCutInTwo(t *testing.T) {
	dir := t.TempDir()
	line := strings.Repeat("€", maxLine) + "\n"
	write(t, dir, record.Log{}, func(w *Writer) {
		for b := []byte(line); len(b) > 0; b = b[min(1001, len(b)):] {
			w.Write(Stdout, b[:min(1001, len(b))])
		}
	})
	joined := ""
	for _, l := range read(t, dir, Options{Tail: All}) {
		if len(l.Log) > maxLine || !utf8.ValidString(l.Log) {
			t.Errorf("a record of %d bytes", len(l.Log))
		}
		joined += l.Log
	}
	if joined != line {
		t.Errorf("%d bytes came back of %d", len(joined), len(line))
	}
}

func TestNoneKeepsNothing(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, record.Log{Driver: record.LogNone}, func(w *Writer) { w.Write(Stdout, []byte("gone\n")) })
	if names, _ := os.ReadDir(dir); len(names) != 0 {
		t.Errorf("it wrote %v", names)
	}
}

func TestAnotherProcessGoesOnInTheMiddleOfALine(t *testing.T) {
	dir := t.TempDir()
	w, err := Create(dir, record.Log{}, clock)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(Stdout, []byte("first\nbeg"))
	w.Write(Stderr, []byte("\xff err"))
	pending, err := w.Suspend()
	if err != nil {
		t.Fatal(err)
	}
	carried, err := json.Marshal(pending)
	if err != nil {
		t.Fatal(err)
	}
	var arrived Pending
	if err := json.Unmarshal(carried, &arrived); err != nil {
		t.Fatal(err)
	}
	if w, err = Resume(dir, record.Log{}, clock, arrived); err != nil {
		t.Fatal(err)
	}
	w.Write(Stdout, []byte("un\n"))
	w.Write(Stderr, []byte("or\n"))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got, want := text(read(t, dir, Options{Tail: All})), "o:first\n|o:begun\n|e:\ufffd error\n|"; got != want {
		t.Errorf("got %q", got)
	}
}

func TestFilesKeepTheirSizeAndNumber(t *testing.T) {
	for _, count := range []int{1, 2, 4} {
		dir := t.TempDir()
		write(t, dir, record.Log{MaxSize: 1000, MaxFiles: count}, func(w *Writer) {
			for i := range 100 {
				// Several lines at once, now and then one that is longer than a file.
				w.Write(Stdout, fmt.Appendf(nil, "%d\nx\n%s\n", i, strings.Repeat("y", i%7*i)))
			}
			w.Write(Stdout, []byte("last\n"))
		})
		names, _ := os.ReadDir(dir)
		if len(names) != count {
			t.Errorf("%d files, want %d", len(names), count)
		}
		for _, name := range names {
			b, _ := os.ReadFile(filepath.Join(dir, name.Name()))
			if len(b) > 1000 && strings.Count(string(b), "\n") > 1 {
				t.Errorf("%s has %d bytes", name, len(b))
			}
		}
		got := read(t, dir, Options{Tail: All})
		if got[len(got)-1].Log != "last\n" {
			t.Errorf("it ends with %q", got[len(got)-1].Log)
		}
	}
}

func TestAFullDiskStopsTheLogUntilThereIsSpace(t *testing.T) {
	now := clock()
	dir := t.TempDir()
	w, err := Create(dir, record.Log{}, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	w.Write(Stdout, []byte("before\n"))
	whole := w.files.file
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	w.files.file, w.files.torn = full, true // as where a piece of a record has still had room
	for range 3 {
		w.Write(Stdout, []byte("lost\n"))
	}
	if _, err := whole.WriteString(`{"log":"lo`); err != nil {
		t.Fatal(err)
	}
	w.files.file = whole
	w.Write(Stdout, []byte("lost\n")) // the disk is left alone for a while
	// Another process of the monitor's knows of it, too.
	pending, err := w.Suspend()
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(retryAfter)
	if w, err = Resume(dir, record.Log{}, func() time.Time { return now }, pending); err != nil {
		t.Fatal(err)
	}
	w.Write(Stdout, []byte("after\n"))
	if err := w.Close(); err == nil || err.Error() != "20 bytes of output are missing: write /dev/full: no space left on device" {
		t.Errorf("close: %v", err)
	}
	want := "o:before\n|e:rootlet: 20 bytes of output are missing here: write /dev/full: no space left on device\n|o:after\n|"
	if got := text(read(t, dir, Options{Tail: All})); got != want {
		t.Errorf("got %q", got)
	}
}

func TestALogThatWasCutOffGoesOn(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, record.Log{}, func(w *Writer) { w.Write(Stdout, []byte("one\n")) })
	f, _ := os.OpenFile(filepath.Join(dir, Name), os.O_APPEND|os.O_WRONLY, 0)
	f.WriteString(`{"log":"cu`)
	f.Close()
	if got := text(read(t, dir, Options{Tail: 1})); got != "o:one\n|" {
		t.Errorf("got %q", got)
	}
	write(t, dir, record.Log{}, func(w *Writer) { w.Write(Stdout, []byte("two\n")) })
	var got []Line
	damaged, err := Read(dir, Options{Tail: All}, func(l Line) error { got = append(got, l); return nil })
	if err != nil || damaged != 1 || text(got) != "o:one\n|o:two\n|" {
		t.Errorf("%d damaged, %v: %q", damaged, err, text(got))
	}
}

// A bound on the size of files, and not on the disk, is refused in the same way.
func TestAFileThatMayNotGrow(t *testing.T) {
	w, err := Create(t.TempDir(), record.Log{}, clock)
	if err != nil {
		t.Fatal(err)
	}
	readOnly, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	w.files.file = readOnly
	w.Write(Stdout, []byte("lost\n"))
	if err := w.Close(); err == nil || !strings.Contains(err.Error(), unix.EBADF.Error()) {
		t.Fatalf("got %v", err)
	}
}
