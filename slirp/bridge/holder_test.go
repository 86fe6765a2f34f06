package bridge

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/internal/stage"
)

// The stages are this very program.
func TestMain(m *testing.M) {
	switch os.Args[0] {
	case stage.Bridge:
		os.Exit(Hold())
	case stage.Switch:
		os.Exit(Switch())
	}
	os.Exit(m.Run())
}

// newStore is one with a network n, whose processes are all gone when the test is over.
func newStore(t *testing.T) Store {
	t.Helper()
	s := Store{Data: t.TempDir(), Runtime: t.TempDir()}
	if _, err := s.Create(Network{Name: "n"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { awaitNone(t) })
	return s
}

// processes are the stages of ours that run, by name.
func processes(t *testing.T) map[string][]int {
	t.Helper()
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]int{}
	self, _ := os.Readlink("/proc/self/exe")
	for _, d := range dirs {
		pid, err := strconv.Atoi(d.Name())
		exe, _ := os.Readlink(filepath.Join("/proc", d.Name(), "exe"))
		words, _ := os.ReadFile(filepath.Join("/proc", d.Name(), "cmdline"))
		if name := strings.TrimRight(string(words), "\x00"); err == nil && exe == self && pid != os.Getpid() {
			found[name] = append(found[name], pid)
		}
	}
	return found
}

func awaitNone(t *testing.T) {
	t.Helper()
	await(t, "the network's processes are gone", func() bool { return len(processes(t)) == 0 })
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10s: %s", what)
		}
	}
}

func TestANetworkLastsAsLongAsItsMembers(t *testing.T) {
	s := newStore(t)
	events := make(chan Event, 8)
	if _, err := s.Join("n", Join{ID: "1", Name: "early"}, events); err == nil {
		t.Error("joined a network that nobody holds")
	}
	g, err := s.Hold("n")
	if err != nil {
		t.Fatal(err)
	}
	a, err := s.Join("n", Join{ID: "1", Name: "a"}, events)
	if err != nil {
		t.Fatal(err)
	}
	g.Close()
	b, err := s.Join("n", Join{ID: "2", Name: "b"}, events)
	if err != nil {
		t.Fatal(err)
	}
	if a.Address4 == b.Address4 || a.MAC == b.MAC || a.Gateway4 != b.Gateway4 || a.Network != "n" {
		t.Errorf("%+v and %+v", a.Joined, b.Joined)
	}
	if _, err := s.Join("n", Join{ID: "3", Name: "c", IP4: a.Address4.Addr()}, events); err == nil || !strings.Contains(err.Error(), "by a") {
		t.Errorf("a's address once more: %v", err)
	}
	a.Close()
	if c, err := s.Join("n", Join{ID: "3", Name: "c", IP4: a.Address4.Addr()}, events); err != nil {
		t.Errorf("the address of one who left: %v", err)
	} else {
		c.Close()
	}
	b.Close()
	awaitNone(t)
	if len(events) > 0 {
		t.Errorf("who left is told that %+v", <-events)
	}
	if _, err := os.Lstat(filepath.Join(s.dir("n"), socketFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its socket: %v", err)
	}
}

// Whoever holds a network finds it, while others let it go.
func TestHoldAndLetGoAtOnce(t *testing.T) {
	s := newStore(t)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 15 {
				g, err := s.Hold("n")
				if err != nil {
					t.Error(err)
					return
				}
				m, err := s.Join("n", Join{ID: "1", Name: "a"}, make(chan Event, 8))
				g.Close()
				if err != nil {
					t.Error(err)
					return
				}
				m.Close()
			}
		})
	}
	all.Wait()
}

func TestMembersHearOfTheSwitchAndTheHolder(t *testing.T) {
	s := newStore(t)
	g, err := s.Hold("n")
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	events := make(chan Event, 8)
	m, err := s.Join("n", Join{ID: "1", Name: "a"}, events)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	hear := func() Event {
		t.Helper()
		select {
		case e := <-events:
			return e
		case <-time.After(10 * time.Second):
			t.Fatal("nothing heard")
			return Event{}
		}
	}
	await(t, "its switch runs", func() bool { return len(processes(t)[stage.Switch]) == 1 })
	_ = unix.Kill(processes(t)[stage.Switch][0], unix.SIGKILL)
	if e := hear(); e.Lost || e.Gone || !strings.Contains(e.Text, "started again") {
		t.Errorf("%+v", e)
	}
	await(t, "its switch runs again", func() bool { return len(processes(t)[stage.Switch]) == 1 })
	// One that dies at once is not started for ever.
	_ = unix.Kill(processes(t)[stage.Switch][0], unix.SIGKILL)
	if e := hear(); !e.Lost || e.Gone {
		t.Errorf("%+v", e)
	}
	if _, err := s.Join("n", Join{ID: "2", Name: "b"}, events); err == nil {
		t.Error("joined a network that leads nowhere")
	}
	// While a monitor sleeps nobody listens; what happened is heard after.
	m.Hold()
	_ = unix.Kill(processes(t)[stage.Bridge][0], unix.SIGKILL)
	fd, err := m.FD()
	if err != nil {
		t.Fatal(err)
	}
	if fd, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0); err != nil {
		t.Fatal(err)
	}
	again := Resume(m.Joined, fd, events)
	defer again.Close()
	if e := hear(); !e.Gone || e.Network != "n" {
		t.Errorf("%+v", e)
	}
}

func TestStore(t *testing.T) {
	s := newStore(t)
	if _, err := s.Create(Network{Name: "n"}); err == nil {
		t.Error("made twice")
	}
	if _, err := s.Create(Network{Name: Default}); err == nil {
		t.Error("made what is always there")
	}
	for _, name := range []string{"", "../n", "a/b", ".n", strings.Repeat("n", 65)} {
		if _, err := s.Create(Network{Name: name}); err == nil {
			t.Errorf("%q was made", name)
		}
		if _, err := s.Inspect(name); err == nil {
			t.Errorf("%q is there", name)
		}
	}
	n, err := s.Create(Network{Name: "m", Subnet4: netip.MustParsePrefix("10.9.0.0/24"), Labels: map[string]string{"a": "b"}})
	if err != nil {
		t.Fatal(err)
	}
	read, err := s.Inspect("m")
	if err != nil || read.ID != n.ID || read.Subnet4 != n.Subnet4 || read.Labels["a"] != "b" {
		t.Errorf("%+v, %v", read, err)
	}
	if err := os.WriteFile(filepath.Join(s.dir("n"), recordFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	entries, err := s.List()
	if err != nil || len(entries) != 3 || entries[0].Name != Default || entries[1].Err != nil || entries[2].Err == nil {
		t.Errorf("%+v, %v", entries, err)
	}
	var inUse *InUseError
	if err := s.Remove("m", func() ([]string, error) { return []string{"db"}, nil }); !errors.As(err, &inUse) {
		t.Errorf("removed in use: %v", err)
	}
	nobody := func() ([]string, error) { return nil, nil }
	if err := errors.Join(s.Remove("m", nobody), s.Remove("n", nobody)); err != nil {
		t.Error(err)
	}
	var gone *NotFoundError
	if err := s.Remove("m", nobody); !errors.As(err, &gone) {
		t.Errorf("removed twice: %v", err)
	}
	if _, err := s.Hold("m"); !errors.As(err, &gone) {
		t.Errorf("held after its end: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(s.root(), ".*"))
	if err != nil || len(left) != 1 { // the lock
		t.Errorf("left: %v, %v", left, err)
	}
}

// Whoever connects and says nothing, or nothing that can be understood, is in nobody's way.
func TestStrangers(t *testing.T) {
	s := newStore(t)
	g, err := s.Hold("n")
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	for i, said := range []string{"", "x", "\x02\x00\x00\x00\x04{,}!", "\x02\xff\xff\xff\xff", "\x05\x00\x00\x00\x00", strings.Repeat("\x63\x00\x00\x00\x01y", 1000)} {
		for range 50 {
			conn, err := s.dial("n")
			if err != nil {
				t.Fatalf("stranger %d: %v", i, err)
			}
			defer conn.Close()
			_, _ = conn.WriteString(said) // it may have been shown the door already
		}
	}
	m, err := s.Join("n", Join{ID: "1", Name: "a"}, make(chan Event, 8))
	if err != nil {
		t.Fatal(err)
	}
	m.Close()
}
