package files

import (
	"context"
	"io"
	"path"

	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay/archive"
)

// Out says what is copied from a container.
type Out struct {
	Path       string `json:"path"`
	FollowLink bool   `json:"followLink,omitempty"`
	// As is what the copy is called in the archive; empty is Base(Path).
	As string `json:"as,omitempty"`
}

// Info is what is known of a source before it is copied.
type Info struct {
	IsDir bool `json:"isDir"`
}

// CopyOut writes a file or directory of the container's as an archive. ready is
// told what it is before the first byte of it.
func (r Root) CopyOut(ctx context.Context, o Out, ready func(Info) error, to io.Writer) error {
	p := clean(o.Path)
	flags := uint64(unix.O_NOFOLLOW)
	if o.FollowLink || AssertsDir(p) {
		flags = 0
	}
	f, err := r.open(p, flags)
	if err != nil {
		return r.explain(p, err)
	}
	defer f.Close()
	isDir := f.kind() == unix.S_IFDIR
	if err := r.checkSource(f, p); err != nil {
		return err
	}
	if err := ready(Info{IsDir: isDir}); err != nil {
		return err
	}
	if o.As == "" {
		o.As = Base(p)
	}
	w := archive.NewWriter(ctx, to, archive.WriteOptions{UID: r.UID, GID: r.GID, SkipKernel: true, RecordedOwners: r.OneID})
	if err := w.Tree(f.File, o.As); err != nil {
		return err
	}
	return w.Close()
}

// checkSource refuses what is the kernel's, by the file system that it, or its
// directory, is in.
func (r Root) checkSource(f *found, p string) error {
	if f.kind() == unix.S_IFDIR {
		return r.checkKernel(f.File, p)
	}
	dir, err := r.open(path.Dir(path.Clean(p)), unix.O_DIRECTORY)
	if err != nil {
		return r.explain(p, err)
	}
	defer dir.Close()
	return r.checkKernel(dir.File, p)
}
