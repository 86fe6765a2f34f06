package logfile

import (
	"errors"
	"io/fs"
	"os"
	"slices"
)

// snapshot is the files of a log as they were at one moment, the oldest first,
// open: what is deleted meanwhile can still be read.
type snapshot []*os.File

// maxTries bounds how often files are opened anew that were given other names
// meanwhile. With a bound on a file's size of a few bytes, that has no end.
const maxTries = 100

// openAll opens all files of the log in dir.
func openAll(dir *os.Root) (snapshot, error) {
	var s snapshot
	var err error
	for range maxTries {
		s.close()
		var settled bool
		if s, settled, err = openOnce(dir); err != nil || settled {
			break
		}
	}
	return s, err
}

// openOnce opens what is there. It is settled where all of it still has the same
// names when the last is open: while files are renamed, one may be found twice,
// and another not at all.
func openOnce(dir *os.Root) (s snapshot, settled bool, err error) {
	defer func() {
		slices.Reverse(s)
		if err != nil {
			s.close()
		}
	}()
	numbers, err := numbersIn(dir)
	if err != nil {
		return nil, false, err
	}
	for _, n := range numbers {
		f, err := dir.Open(numbered(n))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return s, false, err
		}
		s = append(s, f)
	}
	now, err := numbersIn(dir)
	settled = slices.Equal(numbers, now) && len(s) == len(now)
	for i := 0; settled && i < len(s); i++ {
		settled = isAt(dir, now[i], s[i])
	}
	return s, settled, err
}

// numbersIn are the numbers of the log's files, ascending.
func numbersIn(dir *os.Root) ([]int, error) {
	d, err := dir.Open(".")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // the container is gone
	}
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var numbers []int
	for _, name := range names {
		if n, ok := number(name); ok {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// isAt reports whether the n-th file is f.
func isAt(dir *os.Root, n int, f *os.File) bool {
	there, err := dir.Lstat(numbered(n))
	if err != nil {
		return false
	}
	open, err := f.Stat()
	return err == nil && os.SameFile(there, open)
}

// after drops the files up to and with f. Where f is none of them, all are
// newer.
func (s snapshot) after(f *os.File) snapshot {
	info, err := f.Stat()
	if err != nil {
		return s
	}
	for i, other := range s {
		if there, err := other.Stat(); err == nil && os.SameFile(info, there) {
			s[:i+1].close()
			return s[i+1:]
		}
	}
	return s
}

func (s snapshot) close() {
	for _, f := range s {
		f.Close()
	}
}
