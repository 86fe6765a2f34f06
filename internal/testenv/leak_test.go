package testenv

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// recorder is a testing.TB that keeps what would have failed.
type recorder struct {
	testing.TB
	failures []string
	skipped  string
}

func (r *recorder) Helper() {}
func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) { r.Errorf(format, args...) }
func (r *recorder) Skipf(format string, args ...any)  { r.skipped = fmt.Sprintf(format, args...) }

// snapshot is one that does not wait for what goes by itself.
func snapshot(t *testing.T, dirs ...string) (*Leaks, *recorder) {
	r := &recorder{TB: t}
	l := Snapshot(r, dirs...)
	l.wait = 100 * time.Millisecond
	return l, r
}

// report is what the oracle said about the path or pid that the test leaked.
// Other processes of this user may come and go: they are not looked at.
func report(r *recorder, want string) bool {
	return strings.Contains(strings.Join(r.failures, "\n"), want)
}

func TestLeaksFindsAFile(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, filepath.Join(dir, "old"))
	l, r := snapshot(t, dir)
	mustWrite(t, filepath.Join(dir, "new"))
	l.Check()
	if !report(r, dir+"/new") || report(r, dir+"/old") {
		t.Errorf("reported %q, want the new file and not the old", r.failures)
	}
}

func TestLeaksPassesOverWhatIsExcepted(t *testing.T) {
	dir := t.TempDir()
	l, r := snapshot(t, dir)
	mustWrite(t, filepath.Join(dir, "storage"))
	mustWrite(t, filepath.Join(dir, "storage2"))
	l.Except(filepath.Join(dir, "storage")).Check()
	if report(r, "storage ") || !report(r, "storage2") {
		t.Errorf("reported %q, want storage2 alone", r.failures)
	}
}

func TestLeaksFindsASocket(t *testing.T) {
	dir := t.TempDir()
	l, r := snapshot(t, dir)
	s, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	l.Check()
	if !report(r, "unix socket: "+dir+"/s") {
		t.Errorf("reported %q, want the socket", r.failures)
	}
	_ = s.Close()
	l2, r2 := *l, &recorder{TB: t}
	l2.t = r2
	l2.Check()
	if report(r2, dir) {
		t.Errorf("reported %q after the socket was closed", r2.failures)
	}
}

func TestLeaksFindsAProcess(t *testing.T) {
	l, r := snapshot(t)
	cmd := exec.Command(NeedProgram(t, "sleep"), "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	l.Check()
	if !report(r, fmt.Sprintf("process %d of uid %d", cmd.Process.Pid, os.Getuid())) {
		t.Errorf("reported %q, want the sleep", r.failures)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

func TestLeaksWaitsForTeardown(t *testing.T) {
	dir := t.TempDir()
	l, r := snapshot(t, dir)
	l.wait = teardown
	path := filepath.Join(dir, "late")
	mustWrite(t, path)
	time.AfterFunc(100*time.Millisecond, func() { _ = os.Remove(path) })
	l.Check()
	if report(r, path) {
		t.Errorf("reported %q, which was gone within the time", r.failures)
	}
}

func TestSkip(t *testing.T) {
	for _, c := range []struct {
		name, mustWork, user  string
		again                 string
		call                  func(testing.TB)
		wantSkip, wantFailure string
	}{
		{name: "a miss is a skip", call: func(t testing.TB) { Skip(t, "x") }, wantSkip: "needs x"},
		{name: "a miss is a failure", mustWork: "1", call: func(t testing.TB) { Skip(t, "x") }, wantFailure: "needs x, and ROOTLET_MUST_WORK=1 forbids to skip"},
		{name: "another user's test", mustWork: "1", user: "root", call: func(t testing.TB) { NotFor(t, "x") }, wantSkip: `not for the test user "root": x`},
		{name: "outside the suite", mustWork: "1", call: func(t testing.TB) { NotFor(t, "x") }, wantFailure: "needs x, and ROOTLET_MUST_WORK=1 forbids to skip"},
		{name: "no such program", mustWork: "1", user: "subids", call: func(t testing.TB) { NeedProgram(t, "no-such-program") }, wantFailure: "needs the program no-such-program, and ROOTLET_MUST_WORK=1 forbids to skip"},
		{name: "the user without", mustWork: "1", user: "nosubids", call: func(t testing.TB) { NeedSubIDs(t) }, wantSkip: `not for the test user "nosubids": subordinate ids`},
		{name: "whoever, for the first time", mustWork: "1", user: "subids", call: Whoever},
		{name: "whoever, again", mustWork: "1", user: "nosubids", again: "1", call: Whoever, wantSkip: `not for the test user "nosubids": run as the first user`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv(mustWork, c.mustWork)
			t.Setenv(testUser, c.user)
			t.Setenv(again, c.again)
			r := &recorder{TB: t}
			c.call(r)
			if failure := strings.Join(r.failures, ""); r.skipped != c.wantSkip || failure != c.wantFailure {
				t.Errorf("skip %q, failure %q; want %q, %q", r.skipped, failure, c.wantSkip, c.wantFailure)
			}
		})
	}
}

func mustWrite(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}
