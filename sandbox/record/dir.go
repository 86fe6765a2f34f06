package record

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"rootlet/internal/failpoint"
	"rootlet/internal/linux"
)

// Root is the directory that holds containers/ and names/.
type Root string

// Containers is where each container has a directory of its own.
func (r Root) Containers() string { return filepath.Join(string(r), "containers") }

func (r Root) names() string { return filepath.Join(string(r), "names") }

// Dir is where the container with this id keeps everything.
func (r Root) Dir(id string) string { return filepath.Join(r.Containers(), id) }

const (
	specFile  = "spec.json"
	stateFile = "state.json"
)

// Container is one whose lock this process holds: it is alive while we are.
type Container struct {
	ID   string
	Name string
	Dir  string

	root Root
	lock *os.File
}

// Create makes a container's directory, takes its lock and its name. An empty
// name means a random one. It returns a *NameTakenError where another has it.
func (r Root) Create(name string) (*Container, error) {
	for _, dir := range []string{r.Containers(), r.names()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	}
	c, err := r.newDir()
	if err != nil {
		return nil, err
	}
	failpoint.At("record locked")
	if c.Name, err = r.takeName(name, c.ID); err != nil {
		return nil, errors.Join(err, c.Close(), os.RemoveAll(c.Dir))
	}
	return c, nil
}

// NewID makes an id: 64 hexadecimal digits that nothing else has.
func NewID() string {
	var raw [32]byte
	rand.Read(raw[:])
	return hex.EncodeToString(raw[:])
}

// newDir makes a directory with a lock that is ours.
func (r Root) newDir() (*Container, error) {
	for {
		c := &Container{ID: NewID(), root: r}
		c.Dir = r.Dir(c.ID)
		if err := os.Mkdir(c.Dir, 0o700); err != nil {
			return nil, fmt.Errorf("container directory: %w", err)
		}
		failpoint.At("record has a directory")
		err := c.takeLock()
		if err == nil && c.lockStands() {
			return c, nil
		}
		if err != nil && !errors.Is(err, ErrAlive) && !errors.Is(err, fs.ErrNotExist) {
			return nil, errors.Join(err, os.RemoveAll(c.Dir))
		}
		// A sweep was quicker than the lock, and takes the directory away.
	}
}

// lockStands reports whether the lock that we hold is still the directory's.
func (c *Container) lockStands() bool {
	ours, err := c.lock.Stat()
	there, thereErr := os.Lstat(filepath.Join(c.Dir, lockFile))
	if err == nil && thereErr == nil && os.SameFile(ours, there) {
		return true
	}
	_ = c.lock.Close()
	return false
}

// Open takes the lock of a container that is there. It returns ErrAlive where
// another process holds it.
func (r Root) Open(id string) (*Container, error) {
	c := &Container{ID: id, Dir: r.Dir(id), root: r}
	if err := c.takeLock(); err != nil {
		return nil, err
	}
	if spec, err := r.Spec(id); err == nil {
		c.Name = spec.Name
	}
	return c, nil
}

// Adopt takes over the container whose lock is held through a descriptor that an
// earlier image of this process left open.
func (r Root) Adopt(id string, lock *os.File) *Container {
	return &Container{ID: id, Dir: r.Dir(id), root: r, lock: lock}
}

// Lock is the file by which the container's life is told, for Adopt.
func (c *Container) Lock() *os.File { return c.lock }

// ErrAlive says that a container's lock is held: its monitor lives.
var ErrAlive = errors.New("container is running")

func (c *Container) takeLock() error {
	f, err := os.OpenFile(filepath.Join(c.Dir, lockFile), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	whole := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &whole); err != nil {
		f.Close()
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
			return ErrAlive
		}
		return fmt.Errorf("lock container: %w", err)
	}
	c.lock = f
	return nil
}

// WriteSpec stores what the container is. Until it has been called the
// container is not listed.
func (c *Container) WriteSpec(s *Spec) error { return writeJSON(c.Dir, specFile, s, !s.Remove) }

// WriteState replaces how the container is. Durable says whether it must
// survive a power cut, which costs the disk a flush.
func (c *Container) WriteState(s State, durable bool) error {
	s.Version = Version
	return writeJSON(c.Dir, stateFile, s, durable)
}

// Vanish frees the name and hides the directory, in an instant and for good;
// the name is free and the container unlisted before its files are deleted. It
// returns where the files are now.
func (c *Container) Vanish() (string, error) {
	turn, err := c.root.takeTurn(c.ID, unix.F_OFD_SETLKW) // nobody renames it meanwhile
	if err != nil {
		return "", err
	}
	defer turn.Close()
	if s, err := c.root.Spec(c.ID); err == nil {
		c.Name = s.Name
	} else if c.Name == "" {
		c.Name = c.root.nameOf(c.ID)
	}
	gone := filepath.Join(c.root.Containers(), removedPrefix+c.ID)
	failpoint.At("record vanishes")
	if err := os.Rename(c.Dir, gone); err != nil {
		return "", err
	}
	failpoint.At("record vanished")
	c.Dir = gone
	if c.Name != "" {
		return gone, c.root.freeName(c.Name, c.ID)
	}
	return gone, nil
}

// removedPrefix marks directories whose container is gone already.
const removedPrefix = ".removed-"

// Unfinished lists containers whose monitors have died while they made them.
func (r Root) Unfinished() []string {
	dirs, _ := filepath.Glob(filepath.Join(r.Containers(), "[0-9a-f]*"))
	var ids []string
	for _, dir := range dirs {
		if id := filepath.Base(dir); isID(id) && r.unfinished(id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// Removed lists directories that wait for their files to be deleted and whose
// deleter died: their lock is free.
func (r Root) Removed() []string {
	dirs, _ := filepath.Glob(filepath.Join(r.Containers(), removedPrefix+"*"))
	var stale []string
	for _, dir := range dirs {
		if !locked(dir) {
			stale = append(stale, dir)
		}
	}
	return stale
}

// Close drops the lock: from here on the container is not alive.
func (c *Container) Close() error { return c.lock.Close() }

// locked reports whether someone holds the lock of the container in dir. It
// asks and never takes: a reader that held the lock for a moment would make rm
// or start believe that the container runs. That is why the lock is an open
// file description lock (fcntl(2)) and not flock(2)'s, which cannot be asked.
func locked(dir string) bool {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	held := unix.Flock_t{Type: unix.F_RDLCK}
	return unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &held) == nil && held.Type != unix.F_UNLCK
}

// writeJSON replaces dir/name by v: temporary file, fsync, rename, fsync of the
// directory. Without durable the two flushes are left out; a crash of this
// process still leaves the old file or the new one, whole.
func writeJSON(dir, name string, v any, durable bool) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "."+name+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	failpoint.At("record temporary", name)
	if _, err = f.Write(append(b, '\n')); err == nil && durable {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	failpoint.At("record written", name)
	if err := os.Rename(f.Name(), filepath.Join(dir, name)); err != nil {
		return err
	}
	failpoint.At("record renamed", name)
	if !durable {
		return nil
	}
	return linux.SyncDir(dir)
}

// exists reports whether there is anything at path.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
