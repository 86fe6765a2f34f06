package stage

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
	"testing"
)

// pair is both ends of a connection, in one process.
func pair(t *testing.T) (a, b *Conn) {
	t.Helper()
	a, file, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	b = NewConn(file)
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

func TestFramesArriveWholeFromManySenders(t *testing.T) {
	a, b := pair(t)
	const senders, frames = 4, 200
	var all sync.WaitGroup
	for s := range senders {
		all.Go(func() {
			payload := bytes.Repeat([]byte{byte(s)}, 1000*(s+1))
			for range frames {
				if err := a.Send(Kind(s+1), payload); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	seen := map[Kind]int{}
	for range senders * frames {
		kind, payload, err := b.Recv()
		if err != nil {
			t.Fatal(err)
		}
		seen[kind]++
		s := int(kind) - 1
		if len(payload) != 1000*(s+1) || bytes.Count(payload, []byte{byte(s)}) != len(payload) {
			t.Fatalf("frame of kind %d is mixed up", kind)
		}
	}
	all.Wait()
	if len(seen) != senders || seen[1] != frames {
		t.Errorf("saw %v", seen)
	}
}

func TestJSON(t *testing.T) {
	a, b := pair(t)
	if err := a.SendJSON(3, map[string]int{"x": 7}); err != nil {
		t.Fatal(err)
	}
	var got map[string]int
	if err := b.RecvJSON(3, &got); err != nil || got["x"] != 7 {
		t.Fatalf("got %v, %v", got, err)
	}
	_ = a.Send(4, nil)
	if err := b.RecvJSON(3, &got); err == nil {
		t.Error("a frame of another kind was taken")
	}
}

func TestAPeerThatGoesIsEOF(t *testing.T) {
	a, b := pair(t)
	a.Close()
	if _, _, err := b.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("closed: %v", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write([]byte{1, 0, 0, 0, 9, 'c', 'u', 't'})
	w.Close()
	if _, _, err := NewConn(r).Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("cut in the middle of a frame: %v", err)
	}
}

func TestAFrameIsBounded(t *testing.T) {
	a, _ := pair(t)
	if err := a.Send(1, make([]byte, maxFrame+1)); err == nil {
		t.Error("a frame beyond the limit was sent")
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	_, _ = w.Write([]byte{1, 0xff, 0xff, 0xff, 0xff})
	if _, _, err := NewConn(r).Recv(); err == nil {
		t.Error("a frame beyond the limit was received")
	}
}

func TestCloseEndsARecvThatWaits(t *testing.T) {
	a, _ := pair(t)
	done := make(chan error)
	go func() {
		_, _, err := a.Recv()
		done <- err
	}()
	a.Close()
	if err := <-done; !errors.Is(err, io.EOF) {
		t.Errorf("got %v", err)
	}
}

func TestAFrameBringsADescriptor(t *testing.T) {
	a, b := pair(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := a.SendFile(5, []byte("take this"), w); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if err := a.Send(6, nil); err != nil {
		t.Fatal(err)
	}
	kind, payload, f, err := b.RecvFile()
	if err != nil || kind != 5 || string(payload) != "take this" || f == nil {
		t.Fatalf("got kind %d, %q, %v, %v", kind, payload, f, err)
	}
	if _, err := f.WriteString("through"); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if got, err := io.ReadAll(r); err != nil || string(got) != "through" {
		t.Errorf("through the pipe came %q, %v", got, err)
	}
	if kind, _, f, err := b.RecvFile(); err != nil || kind != 6 || f != nil {
		t.Errorf("the frame without one: kind %d, %v, %v", kind, f, err)
	}
}
