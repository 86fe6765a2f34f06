package logfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// files are what a log is written to: one file, which is renamed when it has its
// size, and a number of older ones.
//
// Readers rely on three things. A file that has been renamed is never written to
// again. A file is never made shorter, so that a place in it stays what it was.
// And each has records only, at most with a piece of one where the disk was
// full, which a newline ends.
type files struct {
	dir      string
	maxSize  int64 // 0: no limit
	maxFiles int
	file     *os.File // nil where a new one could not be made
	size     int64
	torn     bool // the file ends in a piece of a record
	unseen   int  // bytes to be written until the disk is looked at again
}

// reserve is how much of a disk a log leaves free: there must be room for the
// record of how the container ended. Of a small disk it is a hundredth.
const reserve = 1 << 20

func (f *files) path(n int) string { return filepath.Join(f.dir, numbered(n)) }

// open opens the file that is written to. One that an earlier run has left may
// end in a piece of a record, as after a power cut.
func (f *files) open() error {
	file, err := os.OpenFile(f.path(0), os.O_CREATE|os.O_RDWR|os.O_APPEND|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return err
	}
	f.file, f.size, f.torn = file, info.Size(), false
	if f.size > 0 {
		var last [1]byte
		_, err = file.ReadAt(last[:], f.size-1)
		f.torn = err != nil || last[0] != '\n'
	}
	return nil
}

// full reports whether so many bytes more are too many for the file.
func (f *files) full(more int) bool { return f.maxSize > 0 && f.size+int64(more) > f.maxSize }

// write appends whole records. An error means that none of them counts.
func (f *files) write(records []byte) error {
	if f.size > 0 && f.full(len(records)) {
		if err := f.rotate(); err != nil {
			return err
		}
	}
	if f.file == nil {
		if err := f.open(); err != nil {
			return err
		}
	}
	if f.torn {
		if _, err := f.file.Write([]byte{'\n'}); err != nil {
			return err
		}
		f.size++
		f.torn = false
	}
	if err := f.room(len(records)); err != nil {
		return err
	}
	n, err := f.file.Write(records)
	f.size += int64(n)
	f.torn = err != nil && n > 0
	return err
}

// room is an error where the disk has only the reserve left. It looks now and
// then, not each time.
func (f *files) room(more int) error {
	if f.unseen -= more; f.unseen >= 0 {
		return nil
	}
	var disk unix.Statfs_t
	if err := unix.Fstatfs(int(f.file.Fd()), &disk); err != nil {
		return nil // the write will tell
	}
	free, all := int64(disk.Bavail)*disk.Bsize, int64(disk.Blocks)*disk.Bsize
	if all > 0 && free-int64(more) < min(reserve, all/100) {
		return fmt.Errorf("write log: %w but for %d bytes", unix.ENOSPC, free)
	}
	f.unseen = reserve / 4
	return nil
}

// rotate gives each file the next number; the oldest goes. It is deleted first:
// where the disk is full, that makes space.
func (f *files) rotate() error {
	oldest := f.maxFiles - 1
	if err := os.Remove(f.path(oldest)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for n := oldest - 1; n >= 0; n-- {
		if err := os.Rename(f.path(n), f.path(n+1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	err := f.close()
	f.size = 0
	return err
}

func (f *files) close() error {
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file = nil
	return err
}
