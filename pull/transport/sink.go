package transport

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/internal/linux"
)

// sink takes the files of a layout, one after another.
type sink interface {
	// put writes a file of exactly size bytes. One that is there is replaced, in
	// a directory; in an archive it is there for good.
	put(name string, size int64, r io.Reader) error
	// has reports whether a file of this size is there.
	has(name string, size int64) bool
	// read opens what is there already, or fails with fs.ErrNotExist.
	read(name string) ([]byte, error)
	// finish is called when all is written, undo when something went wrong.
	finish() error
	undo()
}

// tarSink writes an archive whose bytes depend on what is put and in which
// order, and on nothing else: no time, no owner.
type tarSink struct {
	w     *tar.Writer
	sizes map[string]int64
}

func newTarSink(w io.Writer) *tarSink { return &tarSink{tar.NewWriter(w), map[string]int64{}} }

func (s *tarSink) put(name string, size int64, r io.Reader) error {
	if s.has(name, size) {
		return nil
	}
	if err := s.parents(name); err != nil {
		return err
	}
	if err := s.header(tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: size}); err != nil {
		return err
	}
	if err := copyExactly(s.w, r, size); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	s.sizes[name] = size
	return nil
}

// parents writes the directories above a file, once.
func (s *tarSink) parents(name string) error {
	dir := path.Dir(name)
	if _, there := s.sizes[dir]; dir == "." || there {
		return nil
	}
	if err := s.parents(dir); err != nil {
		return err
	}
	s.sizes[dir] = -1
	return s.header(tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755})
}

func (s *tarSink) header(h tar.Header) error {
	h.ModTime = time.Unix(0, 0).UTC()
	return s.w.WriteHeader(&h)
}

func (s *tarSink) has(name string, size int64) bool {
	there, ok := s.sizes[name]
	return ok && there == size
}

func (s *tarSink) read(string) ([]byte, error) { return nil, fs.ErrNotExist }
func (s *tarSink) finish() error               { return s.w.Close() }
func (s *tarSink) undo()                       {}

// dirSink writes into a directory that is open. A file has its name only when
// it is whole.
type dirSink struct {
	top   *os.File
	added []string // files and directories that were not there, in their order
}

func (s *dirSink) put(name string, size int64, r io.Reader) error {
	dir, err := s.dir(path.Dir(name))
	if err != nil {
		return err
	}
	defer dir.Close()
	temporary := "." + path.Base(name) + ".part"
	_ = unix.Unlinkat(int(dir.Fd()), temporary, 0) // of one that was killed
	f, err := linux.OpenBeneath(dir, temporary, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	err = copyExactly(f, r, size)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(fmt.Errorf("%s: %w", name, err), unix.Unlinkat(int(dir.Fd()), temporary, 0))
	}
	isNew := !has(directory{s.top}, name)
	if err := unix.Renameat(int(dir.Fd()), temporary, int(dir.Fd()), path.Base(name)); err != nil {
		return fmt.Errorf("rename to %s: %w", name, err)
	}
	if isNew {
		s.added = append(s.added, name)
	}
	return nil
}

// dir opens a directory, made if it is not there.
func (s *dirSink) dir(name string) (*os.File, error) {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY
	d, err := linux.OpenBeneath(s.top, name, flags, 0)
	if !errors.Is(err, fs.ErrNotExist) {
		return d, err
	}
	above, err := s.dir(path.Dir(name))
	if err != nil {
		return nil, err
	}
	defer above.Close()
	if err := unix.Mkdirat(int(above.Fd()), path.Base(name), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make %s: %w", name, err)
	}
	s.added = append(s.added, name+"/")
	return linux.OpenBeneath(s.top, name, flags, 0)
}

func (s *dirSink) has(name string, size int64) bool {
	c, err := directory{s.top}.open(name)
	if err != nil {
		return false
	}
	defer c.Close()
	return c.Size() == size
}

func (s *dirSink) read(name string) ([]byte, error) { return document(directory{s.top}, name) }
func (s *dirSink) finish() error                    { return unix.Syncfs(int(s.top.Fd())) }

// undo takes away what was added, the last first.
func (s *dirSink) undo() {
	for i := len(s.added) - 1; i >= 0; i-- {
		flags, name := 0, s.added[i]
		if name[len(name)-1] == '/' {
			flags, name = unix.AT_REMOVEDIR, name[:len(name)-1]
		}
		if dir, err := linux.OpenBeneath(s.top, path.Dir(name), unix.O_PATH|unix.O_DIRECTORY, 0); err == nil {
			_ = unix.Unlinkat(int(dir.Fd()), path.Base(name), flags)
			dir.Close()
		}
	}
}

// empty reports whether there is nothing in the directory.
func (s *dirSink) empty() (bool, error) {
	dir, err := linux.OpenBeneath(s.top, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return false, err
	}
	defer dir.Close()
	switch _, err := dir.Readdirnames(1); err {
	case nil:
		return false, nil
	case io.EOF:
		return true, nil
	default:
		return false, fmt.Errorf("read the directory: %w", err)
	}
}

// copyExactly copies size bytes, at which r must end.
func copyExactly(w io.Writer, r io.Reader, size int64) error {
	n, err := io.Copy(w, io.LimitReader(r, size))
	if err != nil {
		return err
	}
	if n < size {
		return fmt.Errorf("has %d bytes, not %d: %w", n, size, io.ErrUnexpectedEOF)
	}
	var more [1]byte
	switch n, err := io.ReadFull(r, more[:]); {
	case n > 0:
		return fmt.Errorf("has more than %d bytes", size)
	case err != io.EOF:
		return err // the digest is compared at the end
	}
	return nil
}
