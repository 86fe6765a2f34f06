package logfile

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rootlet/sandbox/record"
)

// FuzzRecord holds the encoder against the standard library's, and the decoder
// against the encoder.
func FuzzRecord(f *testing.F) {
	f.Add([]byte("<a>&\x00\x1f\x7f\"\\\b\f\n\r\t\u2028\u2029é\xff\xc3(\xed\xa0\x80"), int64(1))
	f.Fuzz(func(t *testing.T, text []byte, at int64) {
		when := time.Unix(at%(1<<33), at%1e9).UTC()
		want, err := json.Marshal(Line{Log: string(text), Stream: Stderr, Time: when})
		if err != nil {
			return // a year that JSON cannot hold
		}
		got := appendRecord(nil, text, Stderr, stamp(when))
		if string(got) != string(want)+"\n" {
			t.Errorf("%q:\ngot  %swant %s", text, got, want)
		}
		if l, ok := decodeOwn(want); !ok || l.Log != strings.ToValidUTF8(string(text), "\ufffd") && l.Log != reread(want) || !l.Time.Equal(when) {
			t.Errorf("%q is read as %q, %v", text, l.Log, ok)
		}
	})
}

func reread(record []byte) string {
	var l Line
	_ = json.Unmarshal(record, &l)
	return l.Log
}

// FuzzDecode holds the quick way of reading a record against the standard
// library's: what it takes, that takes, too, and understands in the same way.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"log":"\u003ca\u003e \\ \" \n\ud800x","stream":"stdout","time":"2023-11-14T22:13:20.000000005Z"}`))
	f.Add([]byte(`{"log":"a","stream":"stderr","time":"2023-11-14T22:13:20+01:00"}`))
	f.Add([]byte(`{"stream":"stderr","log":"a","attrs":{"x":"y"},"time":"2023-11-14T22:13:20Z"}`))
	f.Fuzz(func(t *testing.T, record []byte) {
		l, ok := decodeOwn(record)
		if !ok {
			_, _ = decode(record)
			return
		}
		var want Line
		if err := json.Unmarshal(record, &want); err != nil || want.Log != l.Log || want.Stream != l.Stream || !want.Time.Equal(l.Time) {
			t.Errorf("%q: got %+v, want %+v, %v", record, l, want, err)
		}
	})
}

// FuzzRead reads a file of anything, from both ends.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"log":"a\n","stream":"stderr","time":"2023-11-14T22:13:20Z"}`+"\n\n{"), uint8(1))
	f.Fuzz(func(t *testing.T, file []byte, n uint8) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, Name), file, 0o600); err != nil {
			t.Fatal(err)
		}
		whole, last := text(read(t, dir, Options{Tail: All})), text(read(t, dir, Options{Tail: int(n)}))
		if !strings.HasSuffix(whole, last) {
			t.Errorf("the last %d lines of %q are %q", n, whole, last)
		}
	})
}

func BenchmarkWrite(b *testing.B) {
	for name, line := range map[string]string{"short": "abcdefghijklmnopqrstuvwxyz\n", "long": strings.Repeat("GET /index.html 200 ", 10) + "\n"} {
		b.Run(name, func(b *testing.B) {
			w, err := Create(b.TempDir(), record.Log{MaxSize: 64 << 20, MaxFiles: 2}, time.Now)
			if err != nil {
				b.Fatal(err)
			}
			defer w.Close()
			chunk := []byte(strings.Repeat(line, 64<<10/len(line)))
			b.SetBytes(int64(len(chunk)))
			b.ReportAllocs()
			for b.Loop() {
				w.Write(Stdout, chunk)
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	dir := b.TempDir()
	w, err := Create(dir, record.Log{}, time.Now)
	if err != nil {
		b.Fatal(err)
	}
	chunk := []byte(strings.Repeat("abcdefghijklmnopqrstuvwxyz\n", 2000))
	for range 100 {
		w.Write(Stdout, chunk)
	}
	w.Close()
	b.SetBytes(int64(100 * len(chunk)))
	for b.Loop() {
		if _, err := Read(dir, Options{Tail: All}, func(Line) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
