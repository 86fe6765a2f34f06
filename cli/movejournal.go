package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/cli/placement"
	"rootlet/fuseoverlay"
	"rootlet/sandbox"
	"rootlet/sandbox/record"
)

// A move copies, then switches from the old to the new by one rename, then removes the
// old. The journal, beside where the data is named, says what to remove if the process
// that moves dies: what is not in use.

// journal is a move that has begun.
type journal struct {
	Named   string `json:"named"`          // where the data directory, or a link to it, is
	From    string `json:"from"`           // the data directory; or a scratch, empty: in the data directory
	To      string `json:"to"`             // the same, after
	Copy    string `json:"copy,omitempty"` // where the copy is made
	Existed bool   `json:"existed,omitempty"`
	Layers  bool   `json:"layers,omitempty"`
}

// markFile is in a copy until it has been switched to: what is removed is a copy.
const markFile = ".rootlet-moving"

func journalPath(named string) string { return filepath.Join(filepath.Dir(named), ".rootlet-move") }

// aside is where the new name is made, and is the old one after they are exchanged.
func (j journal) aside() string { return filepath.Join(filepath.Dir(j.Named), ".rootlet-moving") }

// old is where the old data is that had the name itself, until it is removed.
func (j journal) old() string { return filepath.Join(filepath.Dir(j.Named), ".rootlet-moved") }

// begin writes the journal and returns it locked, for the time of the move.
func (j journal) begin() (*os.File, error) {
	f, err := os.OpenFile(journalPath(j.Named), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, errors.New("another move is going on")
	}
	text, err := json.Marshal(j)
	if err == nil {
		_, err = f.WriteAt(text, 0)
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return nil, errors.Join(err, os.Remove(f.Name()), f.Close())
	}
	return f, nil
}

// readJournal reads that of a move that nobody is at any more; nil where there is none.
func readJournal(named string) (*journal, *os.File) {
	f, err := os.OpenFile(journalPath(named), os.O_RDWR|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, nil
	}
	var j journal
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil || json.NewDecoder(f).Decode(&j) != nil || j.Named != named {
		f.Close()
		return nil, nil
	}
	return &j, f
}

// finishMove puts the name back that a move has taken away and not given anew, on file
// systems that cannot exchange two (renameat2(2)).
func finishMove(named string) error {
	for range 100 {
		if _, err := os.Lstat(journalPath(named)); err != nil {
			return nil // the usual case: no data yet
		}
		if j, f := readJournal(named); j != nil {
			defer f.Close()
			if _, err := os.Lstat(j.old()); err == nil {
				return os.Rename(j.old(), named)
			}
			return os.Symlink(j.From, named)
		}
		if _, err := os.Lstat(named); err == nil {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("%s: a move is going on", named)
}

// sweepMove clears away what a move has left that was killed. It is called in U1.
func sweepMove(paths sandbox.Paths) error {
	named, err := dataDir()
	if err != nil {
		return err
	}
	j, f := readJournal(named)
	if j == nil {
		return nil
	}
	defer f.Close()
	if j.Layers {
		err = j.sweepLayers(paths)
	} else {
		err = j.sweepData()
	}
	return errors.Join(err, os.Remove(f.Name()))
}

// sweepData removes the copy, or what was copied, whichever has not the name.
func (j journal) sweepData() error {
	now, err := followMoved(j.Named)
	if err != nil {
		return err
	}
	if now != j.To {
		_ = removeLink(j.aside())
		return j.dropCopy()
	}
	_ = os.Remove(filepath.Join(now, markFile))
	errs := []error{removeLink(j.aside()), fuseoverlay.RemoveTree(j.aside()), fuseoverlay.RemoveTree(j.old())}
	if j.From != j.Named {
		errs = append(errs, fuseoverlay.RemoveTree(j.From))
	}
	return errors.Join(errs...)
}

// dropCopy removes a copy that is not in use, and leaves the directory that the user
// had made for it.
func (j journal) dropCopy() error {
	if _, err := os.Lstat(filepath.Join(j.Copy, markFile)); err != nil {
		if !j.Existed {
			_ = os.Remove(j.Copy)
		}
		return nil
	}
	err := fuseoverlay.RemoveTree(j.Copy)
	if err == nil && j.Existed {
		err = os.Mkdir(j.Copy, 0o700)
	}
	return err
}

func removeLink(path string) error {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return nil
	}
	return os.Remove(path)
}

// exchange gives the name to the new data, and returns once what had it before has
// another.
func (j journal) exchange() error {
	if j.Copy == j.To {
		if err := errors.Join(removeLink(j.aside()), os.Symlink(j.To, j.aside())); err != nil {
			return fmt.Errorf("link to the new place: %w", err)
		}
	}
	info, err := os.Lstat(j.Named)
	if err != nil {
		return err
	}
	isLink := info.Mode()&fs.ModeSymlink != 0
	switch err := unix.Renameat2(unix.AT_FDCWD, j.aside(), unix.AT_FDCWD, j.Named, unix.RENAME_EXCHANGE); {
	case err == nil && isLink:
		err = removeLink(j.aside())
		return err
	case err == nil:
		return os.Rename(j.aside(), j.old())
	case !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS):
		return &os.LinkError{Op: "rename", Old: j.aside(), New: j.Named, Err: err}
	case isLink && j.Copy == j.To:
		return os.Rename(j.aside(), j.Named)
	case isLink:
		if err := os.Remove(j.Named); err != nil {
			return err
		}
	default:
		if err := os.Rename(j.Named, j.old()); err != nil {
			return err
		}
	}
	return os.Rename(j.aside(), j.Named)
}

// sweepLayers removes the layers that the record does not name.
func (j journal) sweepLayers(paths sandbox.Paths) error {
	r, _ := placement.Read(paths.Data)
	if r.Layers != j.To {
		return j.dropLayers(paths, j.To)
	}
	return j.leaveLayers(paths)
}

// leaveLayers has the containers be in the new place, and removes the old one.
func (j journal) leaveLayers(paths sandbox.Paths) error {
	err := eachElsewhere(paths, func(id, dir string) error {
		if j.To == "" {
			return fuseoverlay.Home(dir)
		}
		return fuseoverlay.SetOwnDir(dir, ownIn(j.To, id), filepath.Dir(dir))
	})
	if err != nil {
		return err
	}
	return j.dropLayers(paths, j.From)
}

// dropLayers removes layers, and what containers have beside them, that are not in use.
func (j journal) dropLayers(paths sandbox.Paths, scratch string) error {
	if scratch != "" {
		err := fuseoverlay.RemoveTree(scratch)
		placement.Unmake(scratch)
		return err
	}
	inData := paths
	inData.Layers = ""
	errs := []error{fuseoverlay.RemoveTree(sandbox.StoreConfig(inData, "").LayerDir())}
	errs = append(errs, eachElsewhere(paths, func(_, dir string) error { return fuseoverlay.DropOwn(dir) }))
	return errors.Join(errs...)
}

// ownIn is where a scratch has a container's own files.
func ownIn(scratch, id string) string { return filepath.Join(scratch, "containers", id) }

// eachElsewhere calls do for the containers whose own files are in a scratch.
func eachElsewhere(paths sandbox.Paths, do func(id, dir string) error) error {
	root := record.Root(paths.Data)
	entries, err := root.List()
	if err != nil {
		return err
	}
	for _, e := range entries {
		if _, elsewhere := fuseoverlay.OwnDir(root.Dir(e.ID)); elsewhere {
			if err := do(e.ID, root.Dir(e.ID)); err != nil {
				return fmt.Errorf("container %s: %w", e.Spec.Name, err)
			}
		}
	}
	return nil
}
