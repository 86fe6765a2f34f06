package blobs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rootlet/internal/reserve"
)

// origin is where blobs come from; it counts what it sends.
type origin struct {
	content []byte
	sent    atomic.Int64
	opened  atomic.Int64
	breakAt int64         // where it breaks off; 0: nowhere
	gate    chan struct{} // if set, read from before the last byte goes
}

var errBroken = errors.New("broken off")

func (o *origin) from(_ context.Context, offset int64) (io.ReadCloser, error) {
	o.opened.Add(1)
	return io.NopCloser(&stream{o, offset}), nil
}

type stream struct {
	o  *origin
	at int64
}

func (s *stream) Read(p []byte) (int, error) {
	left := s.o.content[s.at:]
	if s.o.breakAt > 0 && s.at >= s.o.breakAt {
		return 0, errBroken
	}
	if s.o.breakAt > 0 {
		left = left[:s.o.breakAt-s.at]
	}
	if len(left) == 0 {
		return 0, io.EOF
	}
	if len(left) == 1 && s.o.gate != nil {
		<-s.o.gate
	}
	n := copy(p, left[:max(1, len(left)-1)])
	s.at += int64(n)
	s.o.sent.Add(int64(n))
	return n, nil
}

func fetch(s *Store, o *origin, digest string, size int64, elsewhere func(int64)) ([]byte, error) {
	r, _, err := s.Fetch(context.Background(), Fetch{Digest: digest, Size: size, From: o.from, Elsewhere: elsewhere})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func (s *Store) partialPath(digest string) string {
	return filepath.Join(s.dir, partialDir, strings.TrimPrefix(digest, "sha256:"))
}

func TestFetchGoesOnWhereItBroke(t *testing.T) {
	s, o := open(t), &origin{content: content(100_000)}
	d := digestOf(o.content)
	for _, o.breakAt = range []int64{1000, 10_000, 50_000, 99_999} {
		if _, err := fetch(s, o, d, 100_000, nil); !errors.Is(err, errBroken) {
			t.Fatal(err)
		}
	}
	o.breakAt = 0
	for range 2 { // the second time it is there
		if got, err := fetch(s, o, d, 100_000, nil); err != nil || !bytes.Equal(got, o.content) {
			t.Fatal(err)
		}
	}
	if o.sent.Load() != 100_000 || o.opened.Load() != 5 {
		t.Errorf("%d bytes sent in %d answers", o.sent.Load(), o.opened.Load())
	}
	if list := files(t, s); len(list) != 1 {
		t.Errorf("left: %q", list)
	}
}

func TestFetchOverAPartialThatIsNone(t *testing.T) {
	for name, partial := range map[string][]byte{
		"other bytes": content(5000), "too long": content(200_000), "as long": content(100_001)[:100_000], "whole": content(100_000),
	} {
		t.Run(name, func(t *testing.T) {
			s, o := open(t), &origin{content: content(100_000)}
			d := digestOf(o.content)
			if err := os.WriteFile(s.partialPath(d), partial, 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := fetch(s, o, d, 100_000, nil)
			if errors.Is(err, ErrStale) {
				got, err = fetch(s, o, d, 100_000, nil)
			}
			if err != nil || !bytes.Equal(got, o.content) || !s.Has(d) {
				t.Error(err)
			}
		})
	}
}

func TestFetchOfALie(t *testing.T) {
	s, o := open(t), &origin{content: content(1000)}
	for name, d := range map[string]string{"digest": digestOf(content(10)), "size": digestOf(o.content[:999])} {
		if _, err := fetch(s, o, d, 999, nil); !errors.Is(err, ErrMismatch) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if list := files(t, s); len(list) > 0 {
		t.Errorf("left: %q", list)
	}
}

// TestFetchOnce has eight fetch the same blob: one download, and the others see
// how far it is.
func TestFetchOnce(t *testing.T) {
	s, o := open(t), &origin{content: content(100_000), gate: make(chan struct{})}
	d := digestOf(o.content)
	var seen atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			got, err := fetch(s, o, d, 100_000, func(n int64) {
				if n == 99_999 {
					seen.Add(1)
				}
			})
			if err != nil || !bytes.Equal(got, o.content) {
				t.Error(err)
			}
		})
	}
	for deadline := time.Now().Add(10 * time.Second); seen.Load() < 7 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	close(o.gate)
	all.Wait()
	if o.sent.Load() != 100_000 || o.opened.Load() != 1 || seen.Load() < 7 {
		t.Errorf("%d bytes in %d answers; %d looks at the progress", o.sent.Load(), o.opened.Load(), seen.Load())
	}
}

// TestWaiterTakesOver has the first give up in the middle.
func TestWaiterTakesOver(t *testing.T) {
	s, o := open(t), &origin{content: content(100_000)}
	d := digestOf(o.content)
	first, _, err := s.Fetch(context.Background(), Fetch{Digest: d, Size: 100_000, From: o.from})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, first, 60_000); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := fetch(s, o, d, 100_000, nil)
		done <- err
	}()
	time.Sleep(2 * waitStep)
	first.Close()
	if err := <-done; err != nil || o.sent.Load() > 100_000+64<<10 || !s.Has(d) {
		t.Errorf("%v; %d bytes sent", err, o.sent.Load())
	}
}

func TestFetchEndsWithItsContext(t *testing.T) {
	s, o := open(t), &origin{content: content(1000)}
	d := digestOf(o.content)
	first, _, err := s.Fetch(context.Background(), Fetch{Digest: d, Size: 1000, From: o.from})
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*waitStep)
	defer cancel()
	if _, _, err := s.Fetch(ctx, Fetch{Digest: d, Size: 1000, From: o.from}); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// A disk that has no room for what is left of a blob is not asked to take it, and
// gets back what it had.
func TestFetchKeepsTheDiskFree(t *testing.T) {
	s, o := open(t).KeepFree(1), &origin{content: content(1000)}
	d := digestOf(o.content)
	if err := os.WriteFile(s.partialPath(d), o.content[:500], 0o600); err != nil {
		t.Fatal(err)
	}
	var limited interface{ LimitKey() string }
	if _, err := fetch(s, o, d, 1<<60, nil); !errors.As(err, &limited) || limited.LimitKey() != "free-disk" {
		t.Error(err)
	}
	if list := files(t, s); len(list) > 0 || o.opened.Load() > 0 {
		t.Errorf("left: %q, asked %d times", list, o.opened.Load())
	}
}

// TestWritersWatchTheDisk has the disk go away under what watches it.
func TestWritersWatchTheDisk(t *testing.T) {
	s, o := open(t), &origin{content: content(1000)}
	gone := reserve.On(-1, 1)
	blob, _, err := s.Fetch(context.Background(), Fetch{Digest: digestOf(o.content), Size: 1000, From: o.from})
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	blob.(*fetching).disk = gone
	if _, err := io.ReadAll(blob); err == nil || !strings.Contains(err.Error(), "how full") {
		t.Error(err)
	}
	for _, create := range []func() (*Writer, error){s.Create, s.CreatePacked} {
		w, err := create()
		if err != nil {
			t.Fatal(err)
		}
		w.disk = gone
		if _, err := w.Write(o.content); err == nil || !strings.Contains(err.Error(), "how full") {
			t.Error(err)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
	if list := files(t, s); len(list) > 0 {
		t.Errorf("left: %q", list)
	}
}
