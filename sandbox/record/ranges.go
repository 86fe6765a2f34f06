package record

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"rootlet/internal/need"
)

// Range is what a container of --userns auto has of U1's ids, and no other such
// container: Count of them from First on.
type Range struct {
	First uint32 `json:"first"`
	Count uint32 `json:"count"`
}

func (r Range) last() uint32 { return r.First + r.Count - 1 }

const (
	// rangeFile, in a container's directory, holds its Range, and goes with it.
	rangeFile = "ids.json"
	// rangeLock is held while somebody chooses.
	rangeLock = ".ids"
)

// overflowID is the id of U1's by which files show whose owner has none: nobody
// gets it.
const overflowID = 65534

// TakeRange finds count ids in a row between 1 and last that no other container
// has, and gives them to this one for as long as it exists. The highest go first:
// the low ones are those of users in containers without a range. It returns a
// *NoRangeError where there are none.
func (c *Container) TakeRange(count, last uint32) (Range, error) {
	lock, err := c.root.lockRanges()
	if err != nil {
		return Range{}, err
	}
	defer lock.Close()
	held, err := c.root.ranges()
	if err != nil {
		return Range{}, err
	}
	var taken []Range
	for _, h := range held {
		taken = append(taken, h.Range)
	}
	if count < overflowID {
		taken = append(taken, Range{First: overflowID, Count: 1})
	}
	r, ok := highestFree(taken, count, last)
	if !ok {
		return r, &NoRangeError{Count: count, Last: last, held: held}
	}
	return r, writeJSON(c.Dir, rangeFile, r, true)
}

func (r Root) lockRanges() (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(r.Containers(), rangeLock), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	whole := unix.Flock_t{Type: unix.F_WRLCK}
	for {
		err = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLKW, &whole)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(fmt.Errorf("lock ids: %w", err), f.Close())
		}
	}
}

// holding is a range and the container that has it.
type holding struct {
	Range
	id, name string
}

// ranges lists what all containers have. One whose monitor has died while it made
// it will never run, and has nothing any more.
func (r Root) ranges() ([]holding, error) {
	files, err := filepath.Glob(filepath.Join(r.Containers(), "[0-9a-f]*", rangeFile))
	if err != nil {
		return nil, err
	}
	var held []holding
	for _, file := range files {
		h := holding{id: filepath.Base(filepath.Dir(file))}
		if err := readJSON(file, &h.Range); errors.Is(err, fs.ErrNotExist) || r.unfinished(h.id) {
			continue
		} else if err != nil {
			return nil, err
		}
		if h.First == 0 || h.Count == 0 {
			return nil, fmt.Errorf("%s is damaged: remove the container", file)
		}
		if s, err := r.Spec(h.id); err == nil {
			h.name = s.Name
		}
		held = append(held, h)
	}
	return held, nil
}

// highestFree is the highest range of count ids up to last, and above 0, that
// touches none of those taken.
func highestFree(taken []Range, count, last uint32) (Range, bool) {
	slices.SortFunc(taken, func(a, b Range) int { return cmp.Compare(b.First, a.First) })
	end := last // all above is taken
	for _, t := range taken {
		if t.First > end {
			continue
		}
		if t.last() < end && end-t.last() >= count {
			break
		}
		end = t.First - 1
	}
	if end < count {
		return Range{}, false
	}
	return Range{First: end - count + 1, Count: count}, true
}

// NoRangeError says that a container of --userns auto gets no ids.
type NoRangeError struct {
	Count, Last uint32
	held        []holding
}

// maxHolders is how many containers an error names.
const maxHolders = 8

func (e *NoRangeError) Error() string {
	text := fmt.Sprintf("--userns auto: the container needs %d ids in a row, and you have %d subordinate ids", e.Count, e.Last)
	if len(e.held) == 0 {
		return text
	}
	var total uint32
	var names []string
	for _, h := range e.held {
		total += h.Count
		names = append(names, fmt.Sprintf("%s (%d)", cmp.Or(h.name, h.id[:12]), h.Count))
	}
	slices.Sort(names)
	if more := len(names) - maxHolders; more > 0 {
		names = append(names[:maxHolders], fmt.Sprintf("%d more", more))
	}
	return fmt.Sprintf("%s, of which other containers have %d: %s", text, total, strings.Join(names, ", "))
}

// Need is the line of doctor about it.
func (e *NoRangeError) Need() string { return need.IDs }

// Hint says what to type.
func (e *NoRangeError) Hint() string {
	if len(e.held) == 0 {
		return "take fewer, as by --userns auto:size=" + fmt.Sprint(max(e.Last/2, 1)) + ", or have an administrator add subordinate ids"
	}
	return "remove a container that has some, take fewer by --userns auto:size=N, or have an administrator add subordinate ids"
}
