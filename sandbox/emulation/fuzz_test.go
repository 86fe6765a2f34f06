package emulation

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// FuzzCall holds that whatever a process says in a call, nothing is done for one that does
// not wait for an answer: here none does, and every number may mean another process.
func FuzzCall(f *testing.F) {
	f.Add(uint16(0), "/etc/passwd", uint64(5), uint64(6), uint64(0), uint32(os.Getpid()))
	f.Add(uint16(7), "../../../../x", ^uint64(0), uint64(unix.AT_EMPTY_PATH), uint64(1), uint32(0))
	f.Add(uint16(13), strings.Repeat("a/", 3000), uint64(unix.S_IFCHR), uint64(259), uint64(1), uint32(1))
	s, err := newSupervisor()
	if err != nil {
		f.Fatal(err)
	}
	if s.proc, err = unix.Open("/proc", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		f.Fatal(err)
	}
	var numbers []int32
	for number := range s.numbers {
		numbers = append(numbers, number)
	}
	slices.Sort(numbers)
	dir := f.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mine"), []byte("mine"), 0o600); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, which uint16, path string, a, b, c uint64, pid uint32) {
		l := &listener{supervisor: s, fd: -1, caps: ^uint64(0), people: people{known: map[int]kept{}, look: s.look}}
		l.changed.Store(a&1 == 0)
		l.anyChanged.Store(true)
		r := newReceiver(l)
		text := append([]byte(strings.ReplaceAll(path, "/etc", dir)), 0)
		at := uint64(uintptr(unsafe.Pointer(&text[0])))
		r.in = notification{id: 1, pid: pid, nr: numbers[int(which)%len(numbers)], args: [6]uint64{at, a, b, c, at, at}}
		if which > 1<<15 {
			r.in.args = [6]uint64{a, at, b, c, at, at}
		}
		before := slices.Clone(text)
		_, _ = r.decide()
		if !slices.Equal(before, text) {
			t.Fatalf("call %d wrote into a process that does not wait", r.in.nr)
		}
		if content, err := os.ReadFile(filepath.Join(dir, "mine")); err != nil || string(content) != "mine" {
			t.Fatalf("call %d: %q, %v", r.in.nr, content, err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 1 {
			t.Fatalf("call %d left %v, %v", r.in.nr, entries, err)
		}
		if n, _ := unix.Llistxattr(filepath.Join(dir, "mine"), nil); n > 0 {
			t.Fatalf("call %d left an attribute", r.in.nr)
		}
		for _, k := range l.people.known {
			if !reflect.DeepEqual(k.person, person{}) {
				t.Fatalf("call %d made somebody another: %+v", r.in.nr, k)
			}
		}
	})
}

// FuzzHello holds that what comes to the socket is understood, or an error, in bounded room.
func FuzzHello(f *testing.F) {
	f.Add("{\"uid\":33,\"gid\":33,\"groups\":[4],\"caps\":255}\n")
	f.Add("{}\n{}\n")
	f.Add("cut")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := readHello(strings.NewReader(text))
		if err == nil && !strings.Contains(text, "\n") {
			t.Errorf("%q: %+v", text, h)
		}
		_ = personOf(h).isRoot()
	})
}
