package blobs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func open(t *testing.T) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func digestOf(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }

// content is n bytes that do not compress.
func content(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n)}).Read(b)
	return b
}

// files lists what is below the store, with kinds and modes.
func files(t *testing.T, s *Store) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		if want := fs.FileMode(0o600); d.IsDir() && st.Mode().Perm() != 0o700 || !d.IsDir() && st.Mode().Perm() != want {
			t.Errorf("%s has mode %v", path, st.Mode())
		}
		if !d.IsDir() {
			name, _ := filepath.Rel(s.dir, path)
			all = append(all, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestPutAndRead(t *testing.T) {
	for name, put := range map[string]func(*Store, string, int64, io.Reader) error{"exact": (*Store).Put, "packed": (*Store).PutTar} {
		for _, n := range []int{0, 1, 1 << 20, 3<<20 + 7} {
			t.Run(fmt.Sprintf("%s %d", name, n), func(t *testing.T) {
				s, want := open(t), content(n)
				if err := put(s, digestOf(want), int64(n), bytes.NewReader(want)); err != nil {
					t.Fatal(err)
				}
				for _, offset := range []int64{0, int64(n) / 2, int64(n)} {
					r, size, err := s.Open(digestOf(want), offset)
					if err != nil {
						t.Fatal(err)
					}
					got, err := io.ReadAll(r)
					r.Close()
					if err != nil || size != int64(n) || !bytes.Equal(got, want[offset:]) {
						t.Errorf("from %d: %d bytes (%v), size %d", offset, len(got), err, size)
					}
				}
				if list := files(t, s); len(list) != 1 {
					t.Errorf("left: %q", list)
				}
				list, err := s.List()
				if err != nil || len(list) != 1 || list[0].Digest != digestOf(want) || list[0].Packed != (name == "packed") {
					t.Errorf("list: %+v, %v", list, err)
				}
				if err := s.Remove(digestOf(want)); err != nil || s.Has(digestOf(want)) || len(files(t, s)) > 0 {
					t.Errorf("remove: %v", err)
				}
				if _, _, err := s.Read(digestOf(want)); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("read after remove: %v", err)
				}
			})
		}
	}
}

func TestDigestsThatAreNone(t *testing.T) {
	s := open(t)
	hex := strings.Repeat("a", 64)
	for _, d := range []string{
		"", "sha256:", hex, "sha256:../../etc/passwd", "sha256:" + hex[1:], "sha256:" + hex + "a", "sha512:" + hex,
		"sha256:" + strings.ToUpper(hex), "sha256:" + hex[:62] + "/a", "sha256:" + hex[:62] + "\x00a", "SHA256:" + hex,
	} {
		_, _, readErr := s.Read(d)
		_, _, fetchErr := s.Fetch(context.Background(), Fetch{Digest: d})
		for step, err := range map[string]error{
			"read": readErr, "fetch": fetchErr, "put": s.Put(d, -1, strings.NewReader("x")), "remove": s.Remove(d),
			"adopt": s.Adopt(d, os.DevNull),
		} {
			if err == nil {
				t.Errorf("%s of %q was done", step, d)
			}
		}
		if s.Has(d) {
			t.Errorf("has %q", d)
		}
	}
	if list := files(t, s); len(list) > 0 {
		t.Errorf("left: %q", list)
	}
}

func TestPutOfALie(t *testing.T) {
	s, b := open(t), content(100)
	for name, err := range map[string]error{
		"digest": s.Put(digestOf(b), -1, bytes.NewReader(b[1:])),
		"more":   s.Put(digestOf(b), 99, bytes.NewReader(b)),
		"less":   s.Put(digestOf(b), 101, bytes.NewReader(b)),
		"packed": s.PutTar(digestOf(b), -1, bytes.NewReader(b[1:])),
	} {
		if !errors.Is(err, ErrMismatch) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if list := files(t, s); len(list) > 0 {
		t.Errorf("left: %q", list)
	}
}

// TestDamage flips each of some bits, and cuts, and reads.
func TestDamage(t *testing.T) {
	b := bytes.Repeat(content(1000), 300)
	for name, put := range map[string]func(*Store, string, int64, io.Reader) error{"exact": (*Store).Put, "packed": (*Store).PutTar} {
		for _, at := range []int64{0, 5, 9, 17, 500, -1} {
			t.Run(fmt.Sprintf("%s %d", name, at), func(t *testing.T) {
				s := open(t)
				if err := put(s, digestOf(b), -1, bytes.NewReader(b)); err != nil {
					t.Fatal(err)
				}
				path := filepath.Join(s.dir, files(t, s)[0])
				raw, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if at < 0 {
					raw = raw[:len(raw)/2]
				} else {
					raw[at] ^= 0x10
				}
				if err := os.WriteFile(path, raw, 0o600); err != nil {
					t.Fatal(err)
				}
				r, _, err := s.Read(digestOf(b))
				if err == nil {
					_, err = io.Copy(io.Discard, r)
					r.Close()
				}
				if !errors.Is(err, ErrDamaged) || s.Has(digestOf(b)) {
					t.Errorf("%v; still there: %v", err, s.Has(digestOf(b)))
				}
			})
		}
	}
}

func TestSweep(t *testing.T) {
	s := open(t)
	old, live, young := content(10), content(11), content(12)
	for _, b := range [][]byte{old, live, young} {
		if err := s.Put(digestOf(b), -1, bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
	}
	long := time.Now().Add(-8 * 24 * time.Hour)
	path := func(dir string, b []byte) string {
		return filepath.Join(s.dir, dir, strings.TrimPrefix(digestOf(b), "sha256:"))
	}
	left := path(partialDir, content(13))
	held := path(partialDir, content(14))
	dead := filepath.Join(s.dir, partialDir, temporaryPrefix+"1")
	for _, p := range []string{left, held, dead} {
		if err := os.WriteFile(p, []byte("xyz"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []string{left, held, path(wholeDir, old), path(wholeDir, live)} {
		if err := os.Chtimes(p, long, long); err != nil {
			t.Fatal(err)
		}
	}
	holder, err := os.OpenFile(held, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	if ok, err := lock(holder); !ok || err != nil {
		t.Fatal(ok, err)
	}
	putting, err := s.Create()
	if err != nil {
		t.Fatal(err)
	}
	defer putting.Close()
	freed, err := s.Sweep(map[string]bool{digestOf(live): true}, 7*24*time.Hour)
	if err != nil || freed != 10+3+3 {
		t.Errorf("freed %d, %v", freed, err)
	}
	if s.Has(digestOf(old)) || !s.Has(digestOf(live)) || !s.Has(digestOf(young)) {
		t.Error("the wrong ones went")
	}
	if got := files(t, s); len(got) != 4 { // live, young, held, the one being put
		t.Errorf("left: %q", got)
	}
}

func TestAdopt(t *testing.T) {
	s, b := open(t), content(1000)
	file := filepath.Join(s.dir, "upload")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Adopt(digestOf(b[1:]), file); !errors.Is(err, ErrMismatch) {
		t.Errorf("a lie: %v", err)
	}
	if err := s.Adopt(digestOf(b), file); err != nil || !s.Has(digestOf(b)) || len(files(t, s)) != 1 {
		t.Errorf("%v, %q", err, files(t, s))
	}
}

// Who only looks finds damage and leaves it.
func TestKeeping(t *testing.T) {
	s := open(t)
	text := content(1000)
	digest := digestOf(text)
	for _, put := range []func(string, int64, io.Reader) error{s.Put, s.PutTar} {
		if err := s.Remove(digest); err != nil {
			t.Fatal(err)
		}
		if err := put(digest, -1, bytes.NewReader(text)); err != nil {
			t.Fatal(err)
		}
		found, err := filepath.Glob(filepath.Join(s.dir, wholeDir, "*"))
		if err != nil || len(found) != 1 {
			t.Fatal(found, err)
		}
		if err := os.WriteFile(found[0], []byte("something else"), 0o600); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			r, _, err := s.Keeping().Read(digest)
			if err == nil {
				_, err = io.Copy(io.Discard, r)
				r.Close()
			}
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("it reads: %v", err)
			}
		}
	}
}
