package imagestore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sys/unix"

	"rootlet/internal/linux"
	"rootlet/pull"
)

// The modes of what is written, whatever the umask: who may use a store is for the
// mode of its directory to say.
const (
	dirMode  = 0o755
	fileMode = 0o644

	groupMode = 0o750 // of the directory
)

// Writer changes a store. Nobody else does until it is closed.
type Writer struct {
	dir     string
	top     *os.File
	blobs   *os.File
	lock    *os.File
	entries []Entry
}

// Create opens a store to write to, and makes it where there is none. waiting is
// called where another writes to it, who is waited for.
func Create(dir string, waiting func()) (*Writer, error) {
	err := os.Mkdir(dir, dirMode)
	made := err == nil
	if made {
		err = os.Chmod(dir, dirMode)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	w, err := Change(dir, waiting)
	if made && err != nil {
		_ = os.Remove(dir)
	}
	return w, err
}

// Change is Create for a store that is there.
func Change(dir string, waiting func()) (*Writer, error) {
	top, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return nil, errors.New("is no directory, or a symlink")
	}
	if err != nil {
		return nil, err
	}
	w := &Writer{dir: dir, top: top}
	if err := w.begin(waiting); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

func (w *Writer) begin(waiting func()) error {
	if err := owned(w.top); err != nil {
		return err
	}
	if err := w.claimable(); err != nil {
		return err
	}
	if err := w.takeLock(waiting); err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	if err := w.claim(); err != nil {
		return err
	}
	var err error
	if w.blobs, err = linux.OpenBeneath(w.top, blobsDir, unix.O_RDONLY|unix.O_DIRECTORY, 0); err != nil {
		return err
	}
	body, err := document(w.top, indexFile)
	if err == nil {
		w.entries, err = parseIndex(body)
	}
	return err
}

// owned checks that nobody else could write here.
func owned(top *os.File) error {
	info, err := top.Stat()
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(st.Uid) != os.Geteuid() {
		return errors.New("belongs to another user: only its owner changes an image store")
	}
	if info.Mode().Perm()&0o022 != 0 {
		return &openError{mode: info.Mode().Perm()}
	}
	return nil
}

// openError refuses a directory that others can write to.
type openError struct{ mode fs.FileMode }

func (e *openError) Error() string {
	return fmt.Sprintf("can be written by others (mode %04o)", e.mode)
}

// Hint says what to type.
func (e *openError) Hint() string {
	return "chmod go-w the directory, or name one that is yours alone to write"
}

// claimable refuses a directory that holds something else.
func (w *Writer) claimable() error {
	switch err := isLayout(w.top); {
	case err == nil:
		return nil
	case !errors.Is(unlessThere(w.top, layoutFile), fs.ErrNotExist):
		return err
	}
	again, err := linux.OpenBeneath(w.top, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer again.Close()
	names, err := again.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		// What one who was killed before the layout was there can have left.
		if name != lockFile && name != "blobs" && name != indexFile && !temporary(name) {
			return errors.New("is not empty and no image store: nothing is written there, name another directory")
		}
	}
	return nil
}

// unlessThere is nil where there is a file of that name, whatever it is.
func unlessThere(dir *os.File, name string) error {
	var st unix.Stat_t
	return unix.Fstatat(int(dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW)
}

// takeLock waits for other writers. The file can be opened by the owner alone, so
// that no reader holds one up.
func (w *Writer) takeLock(waiting func()) error {
	var err error
	if w.lock, err = linux.OpenBeneath(w.top, lockFile, unix.O_RDWR|unix.O_CREAT, 0o600); err != nil {
		return err
	}
	if err := w.lock.Chmod(0o600); err != nil {
		return err
	}
	how := unix.LOCK_EX | unix.LOCK_NB
	for {
		err := unix.Flock(int(w.lock.Fd()), how)
		switch {
		case errors.Is(err, unix.EWOULDBLOCK) && how&unix.LOCK_NB != 0:
			how = unix.LOCK_EX
			if waiting != nil {
				waiting()
			}
		case !errors.Is(err, unix.EINTR):
			return err
		}
	}
}

// claim makes the directory an image store without images, where it is none. The
// file that says so comes last.
func (w *Writer) claim() error {
	for _, dir := range []string{"blobs", blobsDir} {
		err := unix.Mkdirat(int(w.top.Fd()), dir, dirMode)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make %s: %w", dir, err)
		}
		if err := unix.Fchmodat(int(w.top.Fd()), dir, dirMode, 0); err != nil {
			return fmt.Errorf("chmod %s: %w", dir, err)
		}
	}
	if errors.Is(unlessThere(w.top, indexFile), fs.ErrNotExist) {
		if err := w.writeIndex(); err != nil {
			return err
		}
	}
	if isLayout(w.top) == nil {
		return nil
	}
	return put(w.top, layoutFile, int64(len(layoutText)), strings.NewReader(layoutText), "")
}

// Close ends the writing. What was not listed by Commit goes with the next Sweep.
func (w *Writer) Close() error {
	var errs []error
	for _, f := range []*os.File{w.blobs, w.lock, w.top} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

// ForGroup has nobody but the owner and this group use the store.
func (w *Writer) ForGroup(gid int) error {
	if err := w.top.Chown(-1, gid); err != nil {
		return err
	}
	return w.top.Chmod(groupMode)
}

// Image reads the documents of an image that is listed.
func (w *Writer) Image(e Entry) (*Image, error) {
	one := Store{Dir: w.dir, top: w.top}
	return one.Image(e)
}

// Entries are the images as they will be listed.
func (w *Writer) Entries() []Entry { return slices.Clone(w.entries) }

// Commit lists the images that were put and not removed. Readers see all of the
// change, or none; then what no image needs any more goes.
func (w *Writer) Commit() error {
	if err := unix.Fsync(int(w.blobs.Fd())); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	if err := w.writeIndex(); err != nil {
		return err
	}
	return w.sweep()
}

func (w *Writer) writeIndex() error {
	body, err := formatIndex(w.entries)
	if err != nil {
		return err
	}
	if err := put(w.top, indexFile, int64(len(body)), reader(body), ""); err != nil {
		return err
	}
	return unix.Fsync(int(w.top.Fd()))
}

// Remove takes an image off the list, or one name of it where it has more.
func (w *Writer) Remove(e Entry, names []string) {
	var list []Entry
	for _, old := range w.entries {
		if old.Digest == e.Digest {
			old.Names = slices.DeleteFunc(slices.Clone(old.Names), func(name string) bool { return slices.Contains(names, name) })
			if len(old.Names) == 0 {
				continue
			}
		}
		list = append(list, old)
	}
	w.entries = list
}

// sweep removes the blobs that no image names, and what is left of those that were
// not finished. An image that cannot be read keeps all.
func (w *Writer) sweep() error {
	needed := map[string]bool{}
	for _, e := range w.entries {
		image, err := w.Image(e)
		if err != nil {
			return nil
		}
		for _, digest := range append(pull.BlobsOf(image.Manifest), e.Digest, "sha256:"+image.ID) {
			needed[digest] = true
		}
	}
	for _, dir := range []*os.File{w.blobs, w.top} {
		again, err := linux.OpenBeneath(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
		if err != nil {
			return err
		}
		names, err := again.Readdirnames(-1)
		again.Close()
		if err != nil {
			return err
		}
		for _, name := range names {
			if temporary(name) || dir == w.blobs && !needed["sha256:"+name] {
				if err := unix.Unlinkat(int(dir.Fd()), name, 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
					return fmt.Errorf("remove %s: %w", name, err)
				}
			}
		}
	}
	return nil
}

// Target is where one image goes, under full names; sizes are those of its layers
// when unpacked.
func (w *Writer) Target(names []string, sizes []int64) pull.Target {
	return &target{w: w, entry: Entry{Names: names, Sizes: sizes}}
}

type target struct {
	w     *Writer
	entry Entry
}

// HasBlob implements pull.Target. What is there was compared with its digest.
func (t *target) HasBlob(_ context.Context, d v1.Descriptor) (bool, error) {
	f, size, err := regular(t.w.blobs, d.Digest.Hex)
	if err != nil {
		return false, nil
	}
	defer f.Close()
	return size == d.Size, nil
}

// PutBlob implements pull.Target.
func (t *target) PutBlob(ctx context.Context, d v1.Descriptor, open pull.BlobOpener) error {
	name, err := digits(d.Digest.String())
	if err != nil {
		return err
	}
	r, err := open(0)
	if err != nil {
		return err
	}
	defer r.Close()
	return put(t.w.blobs, name, d.Size, pull.Stoppable(ctx, r), name)
}

// PutManifest implements pull.Target: it lists the image. The identifier says no
// more than the names do.
func (t *target) PutManifest(_ context.Context, _ string, body []byte, mediaType types.MediaType) error {
	sum := sha256.Sum256(body)
	name := hex.EncodeToString(sum[:])
	if err := put(t.w.blobs, name, int64(len(body)), reader(body), name); err != nil {
		return err
	}
	t.entry.Digest, t.entry.size, t.entry.mediaType = "sha256:"+name, int64(len(body)), mediaType
	t.w.entries = with(t.w.entries, t.entry)
	return nil
}

// Close implements pull.Target.
func (t *target) Close() error { return nil }

const temporaryEnd = ".part"

func temporary(name string) bool {
	return strings.HasPrefix(name, ".") && strings.HasSuffix(name, temporaryEnd)
}

// put writes a file, which has its name once it is whole, on the disk, and, unless
// digest is empty, what that says.
func put(dir *os.File, name string, size int64, from io.Reader, digest string) error {
	aside := "." + name + temporaryEnd
	if err := unix.Unlinkat(int(dir.Fd()), aside, 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := linux.OpenBeneath(dir, aside, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	err = errors.Join(fill(f, size, from, digest), f.Close())
	if err == nil {
		err = unix.Renameat(int(dir.Fd()), aside, int(dir.Fd()), name)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", name, err), unix.Unlinkat(int(dir.Fd()), aside, 0))
	}
	return nil
}

func fill(f *os.File, size int64, from io.Reader, digest string) error {
	hash := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, hash), io.LimitReader(from, size+1))
	switch {
	case err != nil:
		return err
	case n != size:
		return fmt.Errorf("it has %d bytes, not %d", n, size)
	case digest != "" && hex.EncodeToString(hash.Sum(nil)) != digest:
		return errors.New("its content has another digest")
	}
	if err := f.Chmod(fileMode); err != nil {
		return err
	}
	return f.Sync()
}
