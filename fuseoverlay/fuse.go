package fuseoverlay

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// mountFuse starts fuse-overlayfs for a container's root.
func (m *mounting) mountFuse() (*fuseHelper, error) {
	program, err := findFuseOverlayfs()
	if err != nil {
		return nil, err
	}
	return startFuse(fuseMount{
		program: program,
		lower:   m.layers,
		dir:     m.own,
		target:  m.path(rootfsName),
		uids:    m.options.UIDs,
		gids:    m.options.GIDs,
	})
}

// fuseMount is one mount of fuse-overlayfs. The upper directory and the work
// directory have their usual names in dir.
type fuseMount struct {
	program    string
	lower      []int // topmost first
	dir        string
	target     string // the mount point
	uids, gids []Shift
}

// arguments are the program's; the layers are its descriptors from 3 on, so
// that a path needs no escaping whatever is in it.
func (f fuseMount) arguments() []string {
	lower := make([]string, len(f.lower))
	for i := range f.lower {
		lower[i] = fdPath(firstExtraFD + i)
	}
	options := "lowerdir=" + strings.Join(lower, ":") + ",upperdir=" + upperName + ",workdir=" + workName
	if len(f.uids) > 0 {
		options += ",uidmapping=" + mapping(f.uids)
	}
	if len(f.gids) > 0 {
		options += ",gidmapping=" + mapping(f.gids)
	}
	return []string{FuseOverlayfs, "-f", "-o", options, f.target}
}

// firstExtraFD is where exec.Cmd puts the first of its ExtraFiles.
const firstExtraFD = 3

// mapping spells shifts as fuse-overlayfs(1) has them: the id on disk, the id
// that shows, how many. What is written is mapped back.
func mapping(shifts []Shift) string {
	parts := make([]string, len(shifts))
	for i, s := range shifts {
		parts[i] = fmt.Sprintf("%d:%d:%d", s.From, s.To, s.Size)
	}
	return strings.Join(parts, ":")
}

// fuseHelper is the program while it runs.
type fuseHelper struct {
	done   chan error    // gets the error when it dies unasked
	exited chan struct{} // closed when it is gone
	err    error         // why; valid once exited is closed

	process *os.Process
	printed *os.File // read end of its stderr

	stopping sync.Once
	stopped  chan struct{} // closed when its end is wanted
}

// fuseTimeout bounds how long a start may take on a machine that is very busy.
const fuseTimeout = 5 * time.Second

// startFuse starts the program and returns once its mount answers. The program
// dies with the calling thread (prctl(2), PR_SET_PDEATHSIG), which must be the
// first: that one lives as long as the process, even over an execve(2).
func startFuse(f fuseMount) (*fuseHelper, error) {
	if strings.Contains(f.dir, ":") {
		// It makes the path of the upper directory absolute and then takes it for a list.
		return nil, fmt.Errorf("%s cannot use a directory with a colon in its path: %q", FuseOverlayfs, f.dir)
	}
	h := newHelper()
	if err := h.start(f); err != nil {
		return nil, fmt.Errorf("start %q: %w", f.program, err)
	}
	if err := h.waitMounted(f.target); err != nil {
		h.stop()
		_ = unmount(f.target, unix.MNT_DETACH) // in case it came too late
		return nil, err
	}
	return h, nil
}

func newHelper() *fuseHelper {
	return &fuseHelper{done: make(chan error, 1), exited: make(chan struct{}), stopped: make(chan struct{})}
}

func (h *fuseHelper) start(f fuseMount) error {
	printed, stderr, err := os.Pipe()
	if err != nil {
		return err
	}
	defer stderr.Close()
	cmd := &exec.Cmd{
		Path:       f.program,
		Args:       f.arguments(),
		Env:        []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, // for fusermount3
		Dir:        f.dir,
		Stderr:     stderr,
		ExtraFiles: duplicate(f.lower),
		SysProcAttr: &syscall.SysProcAttr{
			Setsid:    true, // out of reach of the terminal's Ctrl-C
			Pdeathsig: syscall.SIGKILL,
		},
	}
	err = cmd.Start()
	for _, file := range cmd.ExtraFiles {
		file.Close()
	}
	if err != nil {
		return errors.Join(err, printed.Close())
	}
	h.process, h.printed = cmd.Process, printed
	go h.watch()
	return nil
}

// watch reads what the program says until it ends, and records how it did.
func (h *fuseHelper) watch() {
	var said tail
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_, _ = io.Copy(&said, h.printed)
	}()
	state, err := h.process.Wait()
	if err == nil && !state.Success() {
		err = errors.New(state.String())
	}
	select {
	case <-drained:
	case <-time.After(100 * time.Millisecond): // something of its own may hold the pipe still
	}
	_ = h.printed.Close()
	h.end(err, said.String())
}

// end records how the program ended.
func (h *fuseHelper) end(err error, stderr string) {
	if err == nil {
		err = errors.New("ended")
	}
	if text := strings.TrimSpace(stderr); text != "" {
		err = fmt.Errorf("%w: %s", err, text)
	}
	h.err = fmt.Errorf("%s: %w", FuseOverlayfs, err)
	close(h.exited)
	select {
	case <-h.stopped:
	default:
		h.done <- h.err
	}
}

// waitMounted waits until there is a FUSE file system at the mount point.
func (h *fuseHelper) waitMounted(target string) error {
	const step = 200 * time.Microsecond
	deadline := time.Now().Add(fuseTimeout)
	for {
		var st unix.Statfs_t
		if err := unix.Statfs(target, &st); err == nil && st.Type == unix.FUSE_SUPER_MAGIC {
			return nil
		}
		select {
		case <-h.exited:
			return h.err
		case <-time.After(step):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: no mount at %q after %s", FuseOverlayfs, target, fuseTimeout)
		}
	}
}

// unmount unmounts the root and ends the program. Where nobody uses the root any
// more, everything is written out first and the program ends by itself.
func (h *fuseHelper) unmount(target string) error {
	h.expectEnd()
	const grace = 200 * time.Millisecond
	err := unmount(target, 0)
	if err == nil {
		select {
		case <-h.exited:
		case <-time.After(grace):
		}
	} else {
		err = unmount(target, unix.MNT_DETACH)
	}
	h.stop()
	return err
}

// expectEnd makes the program's end no news from now on.
func (h *fuseHelper) expectEnd() { h.stopping.Do(func() { close(h.stopped) }) }

// stop kills the program and waits until it is gone.
func (h *fuseHelper) stop() {
	h.expectEnd()
	select {
	case <-h.exited:
		return
	default:
	}
	_ = h.process.Signal(os.Kill)
	<-h.exited
}

// fuseDirs are where administrators install programs.
var fuseDirs = [...]string{"/usr/bin", "/usr/local/bin", "/bin", "/usr/sbin", "/usr/local/sbin"}

// findFuseOverlayfs finds the program: where an administrator installed it, or
// else where the user's PATH says, which may hold no relative directory.
func findFuseOverlayfs() (string, error) {
	for _, dir := range append(fuseDirs[:], filepath.SplitList(os.Getenv("PATH"))...) {
		path := filepath.Join(dir, FuseOverlayfs)
		if !filepath.IsAbs(path) {
			continue
		}
		if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed", FuseOverlayfs)
}

// duplicate makes files of descriptors that stay the caller's.
func duplicate(fds []int) []*os.File {
	files := make([]*os.File, 0, len(fds))
	for _, fd := range fds {
		if copied, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0); err == nil {
			files = append(files, os.NewFile(uintptr(copied), "layer "+strconv.Itoa(fd)))
		}
	}
	return files
}

// tail keeps the last of what a program says on stderr.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const maxTail = 2048

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if extra := len(t.text) - maxTail; extra > 0 {
		t.text = append(t.text[:0], t.text[extra:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}
