package fuseoverlay

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"testing"
	"time"
)

// testTime is the time of all files of the test images.
var testTime = time.Unix(1700000000, 0)

// layer writes an archive of the entries, with what they leave out filled in.
func layer(t testing.TB, entries ...tar.Header) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, h := range entries {
		content := h.PAXRecords["test.content"]
		if h.PAXRecords != nil {
			delete(h.PAXRecords, "test.content")
		}
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(content))
		}
		if h.ModTime.IsZero() {
			h.ModTime = testTime
		}
		h.Format = tar.FormatPAX
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); h.Size > 0 && err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// file and the like are entries; mode and owner can be set on what they return.
func file(name, content string) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, PAXRecords: map[string]string{"test.content": content}}
}

func dir(name string, mode int64) tar.Header {
	return tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: mode}
}

func symlink(name, target string) tar.Header {
	return tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}
}

func hardlink(name, target string) tar.Header {
	return tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: target}
}

func owned(h tar.Header, uid, gid int) tar.Header {
	h.Uid, h.Gid = uid, gid
	return h
}

func mode(h tar.Header, m int64) tar.Header {
	h.Mode = m
	return h
}

func with(h tar.Header, xattr, value string) tar.Header {
	if h.PAXRecords == nil {
		h.PAXRecords = map[string]string{}
	}
	h.PAXRecords["SCHILY.xattr."+xattr] = value
	return h
}

// openStore opens a new store.
func openStore(t testing.TB, driver string) *Store {
	t.Helper()
	return openStoreAt(t, t.TempDir(), driver)
}

func openStoreAt(t testing.TB, dir, driver string) *Store {
	t.Helper()
	s, err := Open(Config{GraphRoot: filepath.Join(dir, "storage"), RunRoot: filepath.Join(dir, "run"), Driver: driver})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sum(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(p))
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// putImage stores an image made of the archives, lowest first.
func putImage(t testing.TB, s *Store, name string, archives ...[]byte) *Image {
	t.Helper()
	chain := ""
	for _, a := range archives {
		diffID := sum(string(a))
		next := diffID
		if chain != "" {
			next = sum(chain + " " + diffID)
		}
		if !s.HasLayer(next) {
			staged, err := s.StageLayer(context.Background(), bytes.NewReader(a), LayerLimits{})
			if err != nil {
				t.Fatal(err)
			}
			err = staged.Commit(LayerRecord{ChainID: next, Parent: chain, DiffID: diffID, Size: int64(len(a))})
			if err != nil {
				t.Fatal(err)
			}
		}
		if !s.HasLayer(next) {
			t.Fatalf("layer %s is not there after its commit", next)
		}
		chain = next
	}
	config := []byte(`{"name":"` + name + `","top":"` + chain + `"}`)
	manifest := []byte(`{"config":"` + sum(string(config)) + `"}`)
	err := s.PutImage(ImageRecord{
		ID: sum(string(config)), Digest: sum(string(manifest)), TopLayer: chain, Names: []string{name},
		Manifest: manifest, Config: config, Created: testTime,
	})
	if err != nil {
		t.Fatal(err)
	}
	img, err := s.Image(name)
	if err != nil {
		t.Fatal(err)
	}
	return img
}
