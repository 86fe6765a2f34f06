package archive

import (
	"archive/tar"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay/tree"
	"rootlet/fuseoverlay/unpack"
)

// paxXattr is how star, GNU tar and every image builder spell an attribute.
const paxXattr = "SCHILY.xattr."

const (
	modeBits  = 0o7777
	blockSize = 512 // of st_blocks, stat(2)
)

// describe is the header of a file, without its content: fd is open as O_PATH at
// least, and readable where xattrs is set.
func (w *Writer) describe(name string, st *unix.Stat_t) (*tar.Header, error) {
	h := &tar.Header{
		Name: name, Mode: int64(st.Mode & modeBits), Format: tar.FormatPAX, ModTime: time.Unix(st.Mtim.Unix()),
		Uid: int(w.shifted(w.options.UID, st.Uid)), Gid: int(w.shifted(w.options.GID, st.Gid)),
		PAXRecords: map[string]string{},
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		h.Typeflag, h.Size = tar.TypeReg, st.Size
		if st.Blocks*blockSize < st.Size {
			h.PAXRecords[unpack.SparseRecord] = unpack.SparseValue
		}
	case unix.S_IFDIR:
		h.Typeflag, h.Name = tar.TypeDir, strings.TrimSuffix(name, "/")+"/"
	case unix.S_IFLNK:
		h.Typeflag, h.Mode = tar.TypeSymlink, 0o777
	case unix.S_IFIFO:
		h.Typeflag = tar.TypeFifo
	case unix.S_IFCHR:
		h.Typeflag = tar.TypeChar
	case unix.S_IFBLK:
		h.Typeflag = tar.TypeBlock
	default:
		return nil, fmt.Errorf("%q is of no kind that an archive holds", name)
	}
	if h.Typeflag == tar.TypeChar || h.Typeflag == tar.TypeBlock {
		h.Devmajor, h.Devminor = int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev))
	}
	return h, nil
}

func (w *Writer) shifted(shift func(uint32) uint32, id uint32) uint32 {
	if shift == nil {
		return id
	}
	return shift(id)
}

// addXattrs adds the attributes of an open file that an image may have.
func (w *Writer) addXattrs(h *tar.Header, fd int) error {
	names, err := tree.ListXattrs(fd)
	if err != nil {
		return fmt.Errorf("list xattrs: %w", err)
	}
	for _, name := range names {
		recorded := w.options.RecordedOwners && (name == unpack.OwnerXattr || name == unpack.NodeXattr)
		if !recorded && !unpack.AllowedXattr(name) {
			continue
		}
		value, err := tree.GetXattr(fd, name)
		if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EOVERFLOW) {
			continue // gone meanwhile, or capabilities of another user namespace's root
		}
		if err != nil {
			return fmt.Errorf("get xattr %s: %w", name, err)
		}
		if recorded {
			asRecorded(h, name, string(value))
			continue
		}
		h.PAXRecords[paxXattr+name] = string(value)
	}
	return nil
}

// asRecorded describes a file as its attribute says: as another's, or as a device.
func asRecorded(h *tar.Header, name, value string) {
	if name == unpack.OwnerXattr {
		if uid, gid, ok := unpack.ParseOwner(value); ok {
			h.Uid, h.Gid = uid, gid
		}
		return
	}
	kind, major, minor, ok := unpack.ParseNode(value)
	if !ok || h.Typeflag != tar.TypeReg || h.Size != 0 {
		return
	}
	h.Typeflag, h.Devmajor, h.Devminor = tar.TypeChar, int64(major), int64(minor)
	if kind == unix.S_IFBLK {
		h.Typeflag = tar.TypeBlock
	}
}
