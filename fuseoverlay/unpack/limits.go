package unpack

import (
	"archive/tar"
	"fmt"
	"math"
	"strings"
)

// Limits bounds what one layer may cost. Zero means the default.
type Limits struct {
	Entries int   // members of the archive; default 5 million
	Bytes   int64 // sum of the files' sizes; default 10 GiB
	Stream  int64 // bytes of the archive itself; default 2 GiB more than Bytes
	Path    int   // bytes of a name; default and at most PATH_MAX-1
	Xattrs  int   // bytes of attributes of one entry; default 256 KiB
}

// MaxPath is what the kernel takes as one path, without the final zero byte.
const MaxPath = 4095

func (l Limits) orDefaults() Limits {
	if l.Entries == 0 {
		l.Entries = 5_000_000
	}
	if l.Bytes == 0 {
		l.Bytes = 10 << 30
	}
	if l.Stream == 0 {
		l.Stream = l.Bytes + 2<<30
	}
	if l.Path == 0 || l.Path > MaxPath {
		l.Path = MaxPath
	}
	if l.Xattrs == 0 {
		l.Xattrs = 256 << 10
	}
	return l
}

// The settings' names, as the user knows them.
const (
	keyEntries = "entries"
	keySize    = "layer-size"
	keyPath    = "path-length"
	keyXattrs  = "xattr-size"
)

// LimitError says which limit a layer exceeds.
type LimitError struct {
	Key  string // of the setting
	What string
	Max  int64
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("more than %d %s (limit %s)", e.Max, e.What, e.Key)
}

// LimitKey is the setting's name, for whoever knows no more of the error.
func (e *LimitError) LimitKey() string { return e.Key }

// check holds one header against the limits and against what an inode can be.
func (u *unpacker) check(h *tar.Header) error {
	if h.Size < 0 || h.Size > u.limits.Bytes-u.result.Size {
		return &LimitError{Key: keySize, What: "bytes of files", Max: u.limits.Bytes}
	}
	if len(h.Linkname) > u.limits.Path {
		return &LimitError{Key: keyPath, What: "bytes of a link's target", Max: int64(u.limits.Path)}
	}
	attrs := 0
	for key, value := range h.PAXRecords {
		if strings.HasPrefix(key, paxXattr) {
			attrs += len(key) + len(value)
		}
	}
	if attrs > u.limits.Xattrs {
		return &LimitError{Key: keyXattrs, What: "bytes of extended attributes", Max: int64(u.limits.Xattrs)}
	}
	if !validID(h.Uid) || !validID(h.Gid) {
		return fmt.Errorf("owner %d:%d is no valid id", h.Uid, h.Gid)
	}
	return nil
}

// validID excludes negative ids and the one that means "no id".
func validID(id int) bool { return id >= 0 && int64(id) < math.MaxUint32 }
