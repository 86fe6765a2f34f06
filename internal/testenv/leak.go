package testenv

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// teardown is how long what a test has ended may take to go: a network namespace
// goes tens of milliseconds after its last process.
const teardown = 5 * time.Second

// Leaks compares the machine after a test with the machine before it.
type Leaks struct {
	t      testing.TB
	dirs   []string
	except []string
	before world
	wait   time.Duration
}

// Snapshot looks at the machine: this user's processes (those with one of its
// subordinate ids too), the mounts in sight, and below dirs all files and all
// unix sockets. Other tests of the same user must not run meanwhile.
func Snapshot(t testing.TB, dirs ...string) *Leaks {
	t.Helper()
	l := &Leaks{t: t, wait: teardown, dirs: slices.Clone(dirs)}
	for i, d := range l.dirs {
		// The kernel shows sockets and mounts without symbolic links in their path.
		if real, err := filepath.EvalSymlinks(d); err == nil {
			l.dirs[i] = real
		}
	}
	l.before = l.look()
	return l
}

// Except leaves out what a test is meant to leave: these paths and all below
// them, such as the image store.
func (l *Leaks) Except(paths ...string) *Leaks {
	l.except = append(l.except, paths...)
	return l
}

// Check fails the test if something is there that was not before. It looks again
// for some seconds, since namespaces and helpers go after their last user.
func (l *Leaks) Check() {
	l.t.Helper()
	deadline := time.Now().Add(l.wait)
	for {
		leaked := l.leaked()
		if len(leaked) == 0 {
			return
		}
		if time.Now().After(deadline) {
			l.t.Errorf("left behind after %v:\n  %s", l.wait, strings.Join(leaked, "\n  "))
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (l *Leaks) leaked() []string {
	after := l.look()
	var out []string
	for _, key := range slices.Sorted(maps.Keys(after)) {
		_, was := l.before[key]
		if !was && !l.excepted(after[key].path) {
			out = append(out, after[key].what)
		}
	}
	return out
}

func (l *Leaks) excepted(path string) bool {
	return path != "" && slices.ContainsFunc(l.except, func(e string) bool { return under(path, e) })
}

func under(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// world holds what can leak, by a key that a later thing never has again.
type world map[string]thing

type thing struct {
	what string // for the reader
	path string // where it is a file, socket or mount
}

func (l *Leaks) look() world {
	w := world{}
	w.addProcesses(ourIDs())
	w.addMounts()
	w.addSockets(l.dirs)
	for _, d := range l.dirs {
		w.addFiles(d)
	}
	return w
}

// addMounts takes our own mount namespace: a monitor's goes with its process.
func (w world) addMounts() {
	data, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line) // proc_pid_mountinfo(5): id parent major:minor root target ...
		if len(f) > 4 {
			w["mount "+f[0]+" "+f[4]] = thing{what: "mount: " + strings.TrimSpace(line), path: f[4]}
		}
	}
}

func (w world) addSockets(dirs []string) {
	data, _ := os.ReadFile("/proc/net/unix")
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line) // num refcount protocol flags type state inode path
		if len(f) < 8 || !slices.ContainsFunc(dirs, func(d string) bool { return under(f[7], d) }) {
			continue
		}
		w["socket "+f[6]] = thing{what: "unix socket: " + f[7], path: f[7]}
	}
}

// addFiles names what cannot be read as far as it can: a directory of another
// id counts, though what is in it stays unseen.
func (w world) addFiles(dir string) {
	_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if e != nil && path != dir {
			w["file "+path] = thing{what: fmt.Sprintf("file: %s %v", path, e.Type()), path: path}
		}
		return nil
	})
}
