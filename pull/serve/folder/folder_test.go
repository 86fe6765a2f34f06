package folder

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/pull/serve"
)

func open(t *testing.T, dir string) *Folder {
	t.Helper()
	f, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func sum(content []byte) serve.Digest { return serve.Digest("sha256:").Of(content) }

// upload pushes a blob.
func push(t *testing.T, f *Folder, repository string, content []byte) serve.Digest {
	t.Helper()
	u, err := f.Begin(repository)
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	if err := errors.Join(u.Append(bytes.NewReader(content)), u.Commit(sum(content))); err != nil {
		t.Fatal(err)
	}
	return sum(content)
}

func pushManifest(t *testing.T, f *Folder, repository, tag string, config []byte) serve.Manifest {
	t.Helper()
	push(t, f, repository, config)
	m, err := serve.ParseManifest(fmt.Appendf(nil, `{"schemaVersion":2,"config":{"digest":"%s","size":%d},"annotations":{"for":%q}}`, sum(config), len(config), tag), "")
	if err == nil {
		err = f.PutManifest(repository, m, []string{tag})
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func content(t *testing.T, f *Folder, repository string, d serve.Digest) []byte {
	t.Helper()
	r, err := f.Blob(repository, d)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// files lists what there is below the folder, without directories.
func files(t *testing.T, f *Folder) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(f.dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && e.Name() != "lock" && e.Name() != "version" {
			name, _ := filepath.Rel(f.dir, path)
			found = append(found, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestOpen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	open(t, dir)
	open(t, dir)
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	theirs := t.TempDir()
	if err := os.WriteFile(filepath.Join(theirs, "thesis.tex"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(theirs); err == nil || !strings.Contains(err.Error(), "thesis.tex") {
		t.Errorf("somebody else's directory: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "version"), []byte("rootlet registry 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil {
		t.Error("a form that is not known was opened")
	}
}

// A server that is killed in the middle of an upload leaves it, and the next
// goes on without the hash that the first had in memory.
func TestAnUploadOutlivesItsServer(t *testing.T) {
	dir, whole := t.TempDir(), []byte("before the crash and after")
	u, err := open(t, dir).Begin("x")
	if err != nil {
		t.Fatal(err)
	}
	broken := io.MultiReader(bytes.NewReader(whole[:10]), iotest.ErrReader(io.ErrUnexpectedEOF))
	if err := u.Append(broken); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	u.Close()

	next := open(t, dir)
	again, err := next.Upload("x", u.ID())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if again.Size() != 10 {
		t.Fatalf("%d bytes are left", again.Size())
	}
	if err := errors.Join(again.Append(bytes.NewReader(whole[10:])), again.Commit(sum(whole))); err != nil {
		t.Fatal(err)
	}
	if got := content(t, next, "x", sum(whole)); !bytes.Equal(got, whole) {
		t.Errorf("%q", got)
	}
}

// Where a write fails in its middle, the file has bytes that the running hash
// has not seen.
func TestAHashThatMissedSomethingIsNotBelieved(t *testing.T) {
	f, whole := open(t, t.TempDir()), []byte("0123456789")
	u, err := f.Begin("x")
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Append(bytes.NewReader(whole[:4])); err != nil {
		t.Fatal(err)
	}
	if _, err := u.(*upload).file.Write(whole[4:7]); err != nil {
		t.Fatal(err)
	}
	u.Close()
	again, err := f.Upload("x", u.ID())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if err := errors.Join(again.Append(bytes.NewReader(whole[7:])), again.Commit(sum(whole))); err != nil {
		t.Error(err)
	}
}

// Without room nothing of an upload stays, nor of one that breaks off meanwhile.
func TestNoRoom(t *testing.T) {
	f := open(t, t.TempDir())
	begin := func(content string) serve.Upload {
		u, err := f.Begin("x")
		if err == nil {
			err = u.Append(strings.NewReader(content))
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { u.Close() })
		return u
	}
	fails := func(u serve.Upload, err error) {
		t.Helper()
		if got := u.Append(io.MultiReader(strings.NewReader("more"), iotest.ErrReader(err))); !errors.Is(got, err) {
			t.Errorf("%v, not %v", got, err)
		}
	}
	whole, broken, refused, siblings, later := begin("whole"), begin("1"), begin("2"), begin("3"), begin("4")
	fails(broken, io.ErrUnexpectedEOF)
	idle := begin("5")
	idle.Close()
	if past := time.Now().Add(-time.Hour); os.Chtimes(f.path("uploads", idle.(*upload).name), past, past) != nil {
		t.Fatal("its time cannot be set")
	}
	fails(refused, &fs.PathError{Op: "write", Path: "x", Err: unix.ENOSPC})
	fails(siblings, io.ErrUnexpectedEOF)
	f.full = f.full.Add(-fullTime)
	fails(later, io.ErrUnexpectedEOF)
	left, err := f.names("uploads")
	want := []string{whole.(*upload).name, broken.(*upload).name, later.(*upload).name}
	slices.Sort(left)
	slices.Sort(want)
	if err != nil || !slices.Equal(left, want) || len(f.hashing) != len(want) {
		t.Errorf("%q and %d hashes are left, %v", left, len(f.hashing), err)
	}
	if err := whole.Commit(sum([]byte("whole"))); err != nil {
		t.Error(err)
	}
}

func TestTwoDoNotWriteToOneUpload(t *testing.T) {
	f := open(t, t.TempDir())
	u, err := f.Begin("x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Upload("x", u.ID()); !errors.Is(err, serve.ErrBusy) {
		t.Errorf("the second: %v", err)
	}
	time.AfterFunc(50*time.Millisecond, func() { _ = u.Cancel(); u.Close() })
	if _, err := f.Upload("x", u.ID()); !errors.Is(err, serve.ErrNotThere) {
		t.Errorf("after it was cancelled: %v", err)
	}
}

// What is deleted goes from the disk with its last repository.
func TestNothingIsLeftOfWhatWasDeleted(t *testing.T) {
	f := open(t, t.TempDir())
	config := []byte("{}")
	m := pushManifest(t, f, "a", "v1", config)
	if _, err := f.Mount("b/c", "a", sum(config)); err != nil {
		t.Fatal(err)
	}
	if err := f.PutManifest("b/c", m, []string{"v2"}); err != nil {
		t.Fatal(err)
	}
	for _, repository := range []string{"a", "b/c"} {
		if got := content(t, f, "b/c", sum(config)); !bytes.Equal(got, config) {
			t.Errorf("%q", got)
		}
		if err := errors.Join(f.RemoveManifest(repository, m.Digest), f.RemoveBlob(repository, sum(config))); err != nil {
			t.Fatal(err)
		}
	}
	if left := files(t, f); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
}

func TestSweep(t *testing.T) {
	f := open(t, t.TempDir())
	kept := pushManifest(t, f, "a", "v1", []byte("config"))
	orphan := push(t, f, "a", []byte("its manifest never came"))
	u, err := f.Begin("a")
	if err != nil {
		t.Fatal(err)
	}
	u.Close()
	for _, name := range []string{blobPath(sum([]byte("x"))), "tmp/left"} {
		if err := os.WriteFile(f.path(name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := files(t, f)
	if err := f.Sweep(time.Now().Add(23 * time.Hour)); err != nil || !slices.Equal(files(t, f), before) {
		t.Fatalf("too early: %v, %q", err, files(t, f))
	}
	// Who asks for a blob may be about to use it.
	yesterday := time.Now().Add(-23 * time.Hour)
	if err := os.Chtimes(f.path(mark("a", "_blobs", orphan)), yesterday, yesterday); err != nil {
		t.Fatal(err)
	}
	content(t, f, "a", orphan)
	if err := f.Sweep(time.Now().Add(2 * time.Hour)); err != nil {
		t.Fatal(err)
	}
	content(t, f, "a", orphan)

	if err := f.Sweep(time.Now().Add(25 * time.Hour)); err != nil {
		t.Fatal(err)
	}
	want := []string{blobPath(sum([]byte("config"))), blobPath(kept.Digest), mark("a", "_blobs", sum([]byte("config"))), mark("a", "_manifests", kept.Digest), "repositories/a/_tags/v1"}
	got := files(t, f)
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("left:\n%s\nand not:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Two processes push and delete the same things; each manifest that can be read
// has its blobs.
func TestWritersAtOnce(t *testing.T) {
	dir, config := t.TempDir(), []byte("shared by all")
	var all sync.WaitGroup
	for i := range 6 {
		f := open(t, dir) // with locks of its own, as another process
		all.Go(func() {
			repository := fmt.Sprintf("r%d", i%3)
			for range 15 {
				m := pushManifestAgain(t, f, repository, config)
				if i >= 3 {
					_ = f.RemoveManifest(repository, m.Digest)
					_ = f.RemoveBlob(repository, sum(config))
				}
			}
		})
	}
	all.Wait()
	f := open(t, dir)
	for i := range 3 {
		repository := fmt.Sprintf("r%d", i)
		if _, err := f.Mount(repository, "", sum(config)); err != nil {
			t.Error(err)
		}
		pushManifestAgain(t, f, repository, config)
		if got := content(t, f, repository, sum(config)); !bytes.Equal(got, config) {
			t.Errorf("%s: %q", repository, got)
		}
	}
	if left, _ := f.names("tmp"); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// pushManifestAgain pushes until nobody deletes the config in between.
func pushManifestAgain(t *testing.T, f *Folder, repository string, config []byte) serve.Manifest {
	m, err := serve.ParseManifest(fmt.Appendf(nil, `{"schemaVersion":2,"config":{"digest":"%s"}}`, sum(config)), "")
	if err != nil {
		t.Error(err)
	}
	var missing *serve.MissingError
	for range 1000 {
		u, err := f.Begin(repository)
		if err == nil {
			err = errors.Join(u.Append(bytes.NewReader(config)), u.Commit(sum(config)), u.Close())
		}
		if err != nil {
			t.Error(err)
			return m
		}
		if err = f.PutManifest(repository, m, []string{"latest"}); err == nil {
			return m
		}
		if !errors.As(err, &missing) {
			t.Error(err)
			return m
		}
	}
	t.Error("never whole")
	return m
}

func TestSource(t *testing.T) {
	f := open(t, t.TempDir())
	m := pushManifest(t, f, "a", "v1", []byte("config"))
	s := Source{Folder: f, Repository: "a"}
	for _, identifier := range []string{"v1", string(m.Digest)} {
		if body, _, err := s.Manifest(t.Context(), identifier); err != nil || !bytes.Equal(body, m.Body) {
			t.Errorf("%s: %q, %v", identifier, body, err)
		}
	}
	for _, identifier := range []string{"", "../a", "v2", "sha256:no"} {
		if _, _, err := s.Manifest(t.Context(), identifier); err == nil {
			t.Errorf("%q is there", identifier)
		}
	}
	d := string(sum([]byte("config")))
	r, err := s.Blob(t.Context(), d, 6, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if text, err := io.ReadAll(r); err != nil || string(text) != "fig" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := s.Blob(t.Context(), d, 7, 0); err == nil {
		t.Error("a blob of another size")
	}
}

func TestAdopt(t *testing.T) {
	f, dir, text := open(t, t.TempDir()), t.TempDir(), []byte("from elsewhere")
	name := filepath.Join(dir, "blob")
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for what, from := range map[string]func() io.Reader{
		"file":   func() io.Reader { file, _ := os.Open(name); t.Cleanup(func() { file.Close() }); return file },
		"stream": func() io.Reader { return bytes.NewReader(text) },
	} {
		if err := f.Adopt("x", sum([]byte("other")), from()); !errors.Is(err, serve.ErrDigest) {
			t.Errorf("%s of another digest: %v", what, err)
		}
		if err := f.Adopt("x", sum(text), from()); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if got := content(t, f, "x", sum(text)); !bytes.Equal(got, text) {
			t.Errorf("%s: %q", what, got)
		}
		if err := f.RemoveBlob("x", sum(text)); err != nil {
			t.Fatal(err)
		}
	}
	if left := files(t, f); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
	// A file whose name is gone has nothing to link to.
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := errors.Join(os.Remove(name), f.Adopt("x", sum(text), file)); err != nil {
		t.Fatal(err)
	}
	if got := content(t, f, "x", sum(text)); !bytes.Equal(got, text) {
		t.Errorf("%q", got)
	}
}
