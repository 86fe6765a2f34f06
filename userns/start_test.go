package userns

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/internal/testenv"
)

// The stages of this test: the test binary itself, told apart by argv[0].
const (
	reportStage  = "userns-report"
	endedStage   = "userns-ended"
	forbidsStage = "userns-forbids"
)

func TestMain(m *testing.M) {
	switch os.Args[0] {
	case reportStage:
		reportMain()
	case forbidsStage:
		forbidsMain()
	case endedStage:
		os.Exit(7)
	default:
		os.Exit(m.Run())
	}
}

// report is what a stage sees of its namespace.
type report struct {
	UID, GID   int
	UIDs, GIDs []Extent
	Status     string
	Setgroups  string
	Session    bool   // leads a session of its own
	Chown      string // error of giving a file to container 1:1
	Mount      string // error of mounting a tmpfs
	Err        string
}

// reportMain waits for its first frame, here a byte, as every stage must: its
// maps are not there before.
func reportMain() {
	conn := os.NewFile(3, "socket")
	dir := make([]byte, 4096)
	n, err := conn.Read(dir)
	if err != nil {
		return // Start killed us or gave up
	}
	r := observe(string(dir[:n]))
	_ = json.NewEncoder(conn).Encode(r)
	_ = conn.Close()
}

func observe(dir string) (r report) {
	r.UID, r.GID = os.Getuid(), os.Getgid()
	uids, gids, err := CurrentMaps()
	r.UIDs, r.GIDs, r.Err = uids, gids, errorText(err)
	status, _ := os.ReadFile("/proc/self/status")
	r.Status = string(status)
	setgroups, _ := os.ReadFile("/proc/self/setgroups")
	r.Setgroups = strings.TrimSpace(string(setgroups))
	sid, _ := unix.Getsid(0)
	r.Session = sid == os.Getpid()
	file := filepath.Join(dir, "file")
	r.Chown = errorText(errors.Join(os.WriteFile(file, nil, 0o600), os.Chown(file, 1, 1), os.Chown(file, 0, 0)))
	r.Mount = errorText(unix.Mount("tmpfs", dir, "tmpfs", 0, ""))
	return r
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// startReport runs the plan for real and returns what the stage saw.
func startReport(t *testing.T, p *Plan) report {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
	defer ours.Close()
	process, err := p.Start(Command{Stage: reportStage, Files: []*os.File{theirs}, Stderr: os.Stderr})
	_ = theirs.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer process.Wait()
	if _, err := io.WriteString(ours, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.NewDecoder(ours).Decode(&r); err != nil {
		t.Fatal(err)
	}
	return r
}

func capLine(t *testing.T, status, name string) string {
	t.Helper()
	for line := range strings.Lines(status) {
		if rest, ok := strings.CutPrefix(line, name+":\t"); ok {
			return strings.TrimSpace(rest)
		}
	}
	t.Fatalf("no %s in status", name)
	return ""
}

func TestStartMapsEveryRangeWithAllCapabilities(t *testing.T) {
	testenv.NeedSubIDs(t)
	testenv.NeedUserNS(t)
	leaks := testenv.Snapshot(t)
	p, err := NewPlan()
	if err != nil {
		t.Fatal(err)
	}
	if p.Method != NewIDMap || p.Why != "" {
		t.Fatalf("method %s, because %s", p.Method, p.Why)
	}
	r := startReport(t, p)
	if !reflect.DeepEqual(r.UIDs, p.UIDs) || !reflect.DeepEqual(r.GIDs, p.GIDs) {
		t.Errorf("maps are %v %v, planned %v %v", r.UIDs, r.GIDs, p.UIDs, p.GIDs)
	}
	if len(p.UIDs) < 2 || p.UIDs[0] != (Extent{0, uint32(os.Getuid()), 1}) || p.UIDs[1].ContainerID != 1 {
		t.Errorf("uid map %v: want the caller, then ids from 1 on", p.UIDs)
	}
	checkPrivileged(t, r)
	if r.Chown != "" {
		t.Errorf("chown to 1:1: %s", r.Chown)
	}
	if r.Setgroups != "allow" {
		t.Errorf("setgroups is %q", r.Setgroups)
	}
	leaks.Check()
}

// What allot takes for the kernel's limit must be within it: many single ids out
// of the user's own range, through the real newuidmap.
func TestStartWithAsManyExtentsAsFit(t *testing.T) {
	testenv.NeedSubIDs(t)
	testenv.NeedUserNS(t)
	p, err := NewPlan()
	if err != nil {
		t.Fatal(err)
	}
	var many []span
	for i := range uint32(400) {
		many = append(many, span{first: p.UIDs[1].HostID + 2*i, count: 1})
	}
	p.UIDs = p.allot(p.UIDs[0].HostID, many)
	if r := startReport(t, p); !reflect.DeepEqual(r.UIDs, p.UIDs) {
		t.Errorf("map has %d extents, planned %d", len(r.UIDs), len(p.UIDs))
	}
	t.Logf("%d extents in %d bytes", len(p.UIDs), len(mapText(p.UIDs)))
}

// checkPrivileged wants what every plan gives: root with all capabilities.
func checkPrivileged(t *testing.T, r report) {
	t.Helper()
	all, err := allCaps()
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("%016x", uint64(1)<<len(all)-1)
	for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
		if got := capLine(t, r.Status, set); got != want {
			t.Errorf("%s is %s, want %s", set, got, want)
		}
	}
	if r.Err != "" || r.UID != 0 || r.GID != 0 || !r.Session || r.Mount != "" {
		t.Errorf("uid %d, gid %d, own session %v, maps %q, mount %q", r.UID, r.GID, r.Session, r.Err, r.Mount)
	}
}

func TestStartWithOneID(t *testing.T) {
	testenv.NeedUserNS(t)
	testenv.NeedUser(t)
	h, err := thisHost()
	if err != nil {
		t.Fatal(err)
	}
	r := startReport(t, h.oneID("the test wants it", nil))
	checkPrivileged(t, r)
	want := []Extent{{0, uint32(os.Getuid()), 1}}
	if !reflect.DeepEqual(r.UIDs, want) {
		t.Errorf("uid map %v, want %v", r.UIDs, want)
	}
	if r.Setgroups != "deny" {
		t.Errorf("setgroups is %q", r.Setgroups)
	}
	if r.Chown == "" {
		t.Error("chown to an id that is not mapped went through")
	}
}

func TestStartAsRoot(t *testing.T) {
	testenv.NeedRoot(t)
	testenv.NeedUserNS(t)
	p, err := NewPlan()
	if err != nil {
		t.Fatal(err)
	}
	if p.Method != Root {
		testenv.Skip(t, "root with all ids: "+p.Why)
	}
	r := startReport(t, p)
	checkPrivileged(t, r)
	if !reflect.DeepEqual(r.UIDs, p.UIDs) || !reflect.DeepEqual(r.GIDs, p.GIDs) {
		t.Errorf("maps are %v %v, planned %v %v", r.UIDs, r.GIDs, p.UIDs, p.GIDs)
	}
	for _, e := range r.UIDs[1:] {
		if e.HostID < 65536 {
			t.Errorf("extent %v gives away ids of the host", e)
		}
	}
}

// A refused map must not leave a stage behind.
func TestStartKillsTheStageWhenMapsAreRefused(t *testing.T) {
	testenv.NeedSubIDs(t)
	testenv.NeedUserNS(t)
	p, err := NewPlan()
	if err != nil {
		t.Fatal(err)
	}
	leaks := testenv.Snapshot(t)
	p.UIDs = append(p.UIDs[:1:1], Extent{ContainerID: 1, HostID: 1, Size: 1}) // daemon's
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer write.Close() // the stage would wait for ever
	defer read.Close()
	_, err = p.Start(Command{Stage: reportStage, Files: []*os.File{read}})
	var refused *MapError
	if !errors.As(err, &refused) {
		t.Fatalf("error %v, want a MapError", err)
	}
	if want := "start userns-report: newuidmap: uid range [1-2) -> [1-2) not allowed"; err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
	if !strings.Contains(refused.Hint(), "nsswitch") {
		t.Errorf("hint %q", refused.Hint())
	}
	leaks.Check()
}

// A stage that ends at once is reported as that, not as a denied permission.
func TestStartOfAStageThatEnds(t *testing.T) {
	process, err := os.StartProcess("/proc/self/exe", []string{endedStage}, &os.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	var info unix.Siginfo
	if err := unix.Waitid(unix.P_PID, process.Pid, &info, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	refusal := errors.New("refused")
	err = abandoned(process, refusal)
	if want := "the stage ended before its ids were mapped (exit status 7): refused"; err.Error() != want || !errors.Is(err, refusal) {
		t.Errorf("error %q, want %q", err, want)
	}
}

// forbidsMain stands in a namespace of its own, where it may set the limit that
// an administrator sets for the host, and tries to start a stage.
func forbidsMain() {
	conn := os.NewFile(3, "socket")
	_, _ = conn.Read(make([]byte, 1))
	err := writeProc("/proc/sys/user/max_user_namespaces", "0")
	if err == nil {
		h, _ := thisHost()
		_, err = h.oneID("", nil).Start(Command{Stage: reportStage})
	}
	hint := ""
	var forbidden *Forbidden
	if errors.As(err, &forbidden) {
		hint = forbidden.Hint()
	}
	_, _ = fmt.Fprintf(conn, "%v\n%s", err, hint)
	_ = conn.Close()
}

func TestStartWhereTheKernelForbidsIt(t *testing.T) {
	testenv.NeedUserNS(t)
	testenv.NeedUser(t)
	h, err := thisHost()
	if err != nil {
		t.Fatal(err)
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
	process, err := h.oneID("", nil).Start(Command{Stage: forbidsStage, Files: []*os.File{theirs}})
	_ = theirs.Close()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = ours.Write([]byte{1})
	answer, err := io.ReadAll(ours)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = process.Wait()
	want := "user namespaces are forbidden here: user.max_user_namespaces = 0 (start userns-report: fork/exec /proc/self/exe: no space left on device)\nsysctl -w user.max_user_namespaces=28633"
	if string(answer) != want {
		t.Errorf("got  %s\nwant %s", answer, want)
	}
}

// A newuidmap that comes first in PATH is not even looked at.
func TestProgramsAreNotTakenFromPATH(t *testing.T) {
	testenv.NeedSubIDs(t)
	fake := t.TempDir()
	for _, name := range []string{"newuidmap", "newgidmap"} {
		if err := os.WriteFile(filepath.Join(fake, name), []byte("#!/bin/sh\nexit 1\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", fake+":"+os.Getenv("PATH"))
	if found, _ := exec.LookPath("newuidmap"); filepath.Dir(found) != fake {
		t.Fatalf("the hijack does not work: %s", found)
	}
	p, err := NewPlan()
	if err != nil {
		t.Fatal(err)
	}
	if p.Method != NewIDMap || strings.HasPrefix(p.newuidmap, fake) || strings.HasPrefix(p.newgidmap, fake) {
		t.Errorf("method %s with %s and %s", p.Method, p.newuidmap, p.newgidmap)
	}
}

func BenchmarkNewPlan(b *testing.B) {
	for b.Loop() {
		if _, err := NewPlan(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStart is the time until a stage's maps are written.
func BenchmarkStart(b *testing.B) {
	testenv.NeedUserNS(b)
	p, err := NewPlan()
	if err != nil {
		b.Fatal(err)
	}
	var total time.Duration
	for b.Loop() {
		read, write, err := os.Pipe()
		if err != nil {
			b.Fatal(err)
		}
		begin := time.Now()
		process, err := p.Start(Command{Stage: reportStage, Files: []*os.File{read}})
		if err != nil {
			b.Fatal(err)
		}
		total += time.Since(begin)
		_ = read.Close()
		_ = write.Close() // it reads the end of the file and goes
		_, _ = process.Wait()
	}
	b.ReportMetric(float64(total.Microseconds())/float64(b.N), "us/start")
}
