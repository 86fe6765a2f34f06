package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"rootlet/internal/testenv"
)

// spoilt is a command during which the disk fails. The store has the image "old"
// beforehand, and a container of it.
type spoilt struct {
	name  string
	args  []string
	after int // layers that the store has where it succeeds
	every int
}

// F10 and F11: each change that these commands make on the disk fails, for want
// of space or of quota, or because the disk has an error: once that call alone,
// once all that need space from there on. What was there before stays and works;
// one line says what is wrong; and when there is space again the same command works.
func TestTheDiskFailsAtEachChange(t *testing.T) {
	m := newMeter(t)
	old, image := newPulled(t, m), newPulled(t, m, 20<<10, 30<<10)
	p := newPerson(t)
	archive := filepath.Join(p.home(), "archive.tar")
	p.rootlet("pull", "-q", image.ref)
	p.rootlet("save", "-o", archive, image.ref)
	sweep := &diskSweep{person: p, old: old}
	for _, c := range []spoilt{
		{name: "pull", args: []string{"pull", "-q", image.ref}, after: 3, every: 1},
		{name: "load", args: []string{"load", "-q", "-i", archive}, after: 3, every: 2},
		{name: "commit", args: []string{"commit", "idle", "committed"}, after: 2, every: 1},
		{name: "tag", args: []string{"tag", old.ref, "tagged"}, after: 1, every: 1},
	} {
		switch {
		case testing.Short():
			c.every *= 20
		case testenv.Kind() == testenv.WithoutSubIDs:
			c.every *= 6
		}
		sweep.over(t, c)
	}
	t.Logf("%d failures", sweep.failures.Load())
}

type diskSweep struct {
	*person
	old      pulled
	failures atomic.Int64
}

// over spoils one command, three times at once, each in a store of its own.
func (s *diskSweep) over(t *testing.T, c spoilt) {
	t.Helper()
	var next, last atomic.Int64
	last.Store(1 << 20)
	next.Store(1 - int64(c.every))
	var all sync.WaitGroup
	for range 3 {
		onThread(&all, func() {
			for !t.Failed() {
				n := int(next.Add(int64(c.every)))
				if n > int(last.Load()) {
					return
				}
				if !s.spoil(t, c, n) {
					last.Store(min(last.Load(), int64(n)))
					return
				}
				s.failures.Add(1)
			}
		})
	}
	all.Wait()
}

// spoil has a command's n-th change fail, if it makes so many.
func (s *diskSweep) spoil(t *testing.T, c spoilt, n int) bool {
	p := s.withStore(t, fmt.Sprintf("%s-%d", c.name, n))
	for _, args := range [][]string{{"pull", "-q", s.old.ref}, {"create", "--name", "idle", "--network", "none", s.old.ref}} {
		if _, stderr, code := p.try(args...); code != 0 {
			t.Errorf("%v: %s", args, stderr)
			return false
		}
	}
	said, err := os.Create(filepath.Join(p.home(), "said"))
	if err != nil {
		t.Error(err)
		return false
	}
	defer said.Close()
	command := p.command(c.args...)
	command.Stderr = said
	errno := []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EIO}[n/c.every%3]
	stays := n/c.every%2 == 1
	var at call
	code := trace(t, command, dataOf(p), func(now call) fate {
		if now.n < n || now.n > n && !(stays && now.needsSpace()) {
			return fate{}
		}
		if at.n == 0 {
			at = now
			if !now.needsSpace() {
				errno, stays = syscall.EIO, false
			}
		}
		return fate{errno: errno}
	})
	text, _ := os.ReadFile(said.Name())
	if at.n == 0 {
		if code != 0 {
			t.Errorf("%s that nothing befell: exit code %d: %s", c.name, code, text)
		}
		return false
	}
	if problems := s.survived(p, c, code, string(text), errno, stays); len(problems) > 0 {
		t.Errorf("%s, %v at change %d, %v (stays so: %v): exit code %d, said %q; then\n%s",
			c.name, errno, n, at, stays, code, text, strings.Join(problems, "\n"))
		return true
	}
	_ = os.RemoveAll(p.home())
	return true
}

// needsSpace says that a call may find the disk full.
func (c call) needsSpace() bool {
	return !slices.Contains([]string{"unlinkat", "unlink", "rmdir", "fchmod", "fchmodat", "fchown", "fchownat", "utimensat", "fsync", "fdatasync", "syncfs"}, c.name)
}

// survived lists what is wrong after a command during which the disk failed.
func (s *diskSweep) survived(p *person, c spoilt, code int, said string, errno syscall.Errno, stayed bool) (problems []string) {
	try := func(args ...string) string {
		stdout, stderr, code := p.try(args...)
		if code != 0 {
			problems = append(problems, fmt.Sprintf("rootlet %s: exit code %d: %s", strings.Join(args, " "), code, stderr))
		}
		return stdout
	}
	if code != 0 {
		line, rest, _ := strings.Cut(said, "\n")
		if !strings.HasPrefix(line, "rootlet: error: ") || !strings.Contains(line, errno.Error()) || rest != "" && !strings.HasPrefix(rest, "rootlet: hint: ") {
			problems = append(problems, "that is no clear line")
		}
		if errno != syscall.EIO && !strings.Contains(rest, "df -h "+dataOf(p)) {
			problems = append(problems, "it does not name the disk")
		}
		if !stayed {
			problems = append(problems, leftInStore(p, s.old.layers)...)
		}
	}
	if shown := try("images", "-q", "--no-trunc"); !strings.Contains(shown, s.old.id) {
		problems = append(problems, fmt.Sprintf("images shows %q", shown))
	}
	try("run", "--rm", "--pull", "never", "--network", "none", s.old.ref)
	try(c.args...)
	try("system", "check")
	return append(problems, leftInStore(p, c.after)...)
}
