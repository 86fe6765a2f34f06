package emulation

import (
	"errors"
	"reflect"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

func TestIDsChangeByTheKernelsRules(t *testing.T) {
	user := ids{33, 33, 33, 33}
	mixed := ids{33, 42, 0, 42}
	for _, c := range []struct {
		what string
		from ids
		root bool
		do   func(*ids) error
		want ids
		err  error
	}{
		{"root's setuid", ids{}, true, func(i *ids) error { return i.set(33, true) }, user, nil},
		{"a user's setuid to root", user, false, func(i *ids) error { return i.set(0, false) }, user, unix.EPERM},
		{"back to what was saved", mixed, false, func(i *ids) error { return i.set(0, false) }, ids{33, 0, 0, 0}, nil},
		{"setuid(-1)", ids{}, true, func(i *ids) error { return i.set(unset, true) }, ids{}, unix.EINVAL},
		{"seteuid", ids{}, true, func(i *ids) error { return i.setThree(unset, 42, unset, true) }, ids{0, 42, 0, 42}, nil},
		{"seteuid back", ids{0, 42, 0, 42}, false, func(i *ids) error { return i.setThree(unset, 0, unset, false) }, ids{}, nil},
		{"setresuid", ids{}, true, func(i *ids) error { return i.setThree(1, 2, 3, true) }, ids{1, 2, 3, 2}, nil},
		{"a user's setresuid", user, false, func(i *ids) error { return i.setThree(33, 33, 0, false) }, user, unix.EPERM},
		{"setreuid saves", ids{}, true, func(i *ids) error { return i.setTwo(5, 6, true) }, ids{5, 6, 6, 6}, nil},
		{"setreuid of the effective alone", ids{5, 6, 7, 6}, false, func(i *ids) error { return i.setTwo(unset, 5, false) }, ids{5, 5, 7, 5}, nil},
		{"a user's setreuid", user, false, func(i *ids) error { return i.setTwo(0, unset, false) }, user, unix.EPERM},
	} {
		got := c.from
		if err := c.do(&got); !errors.Is(err, c.err) || got != c.want {
			t.Errorf("%s: %v, %v; want %v, %v", c.what, got, err, c.want, c.err)
		}
	}
}

func TestAPersonIsWhoItsParentIs(t *testing.T) {
	alive := map[int]process{1: {0, "a"}, 10: {1, "b"}, 11: {10, "c"}, 12: {11, "d"}}
	p := people{known: map[int]kept{}, look: func(pid int) (process, bool) { is, ok := alive[pid]; return is, ok }}
	root, postgres := person{}, person{uid: same(101), gid: same(102), groups: []uint32{103}}
	if got := p.get(12, root); !got.isRoot() {
		t.Errorf("at first: %+v", got)
	}
	delete(p.known, 12)
	p.set(11, postgres)
	if got := p.get(12, root); !reflect.DeepEqual(got, postgres) {
		t.Errorf("a child: %+v", got)
	}
	if got := p.get(10, root); !got.isRoot() {
		t.Errorf("the parent: %+v", got)
	}
	alive[11] = process{1, "later"} // the number has come again
	if got := p.get(11, root); !got.isRoot() {
		t.Errorf("another process of its number: %+v", got)
	}
	if got := p.get(12, root); !reflect.DeepEqual(got, postgres) {
		t.Errorf("who was asked for stays: %+v", got)
	}
	if _, known := p.recall(99); known {
		t.Error("a process that there is not is known")
	}
	if got := p.get(99, postgres); !reflect.DeepEqual(got, postgres) {
		t.Errorf("who is not to be found: %+v", got)
	}
}

func TestTheDeadAreForgotten(t *testing.T) {
	living := map[int]bool{}
	p := people{known: map[int]kept{}, look: func(pid int) (process, bool) { return process{0, strconv.Itoa(pid)}, living[pid] }}
	for pid := 1; pid <= 3*maxPeople; pid++ {
		living[pid] = true
		p.set(pid, person{uid: same(5)})
		living[pid] = pid%1000 == 0
	}
	if len(p.known) > maxPeople || p.get(1000, person{}).uid != same(5) {
		t.Errorf("%d are known", len(p.known))
	}
}

func TestWhoMayGive(t *testing.T) {
	www := person{uid: same(33), gid: same(33), groups: []uint32{4}}
	for _, c := range []struct {
		from  owner
		given bool
		to    owner
		want  bool
	}{
		{owner{33, 33}, true, owner{33, 4}, true},
		{owner{33, 33}, true, owner{33, 5}, false},
		{owner{33, 33}, true, owner{0, 0}, false},
		{owner{5, 5}, true, owner{33, 33}, false},
		{owner{}, false, owner{0, 33}, true}, // chown :33 of a file that it may have made
		{owner{}, false, owner{5, 33}, false},
	} {
		if got := www.mayGive(c.from, c.given, c.to, false); got != c.want {
			t.Errorf("%v to %v: %t", c.from, c.to, got)
		}
	}
}

func TestEachCallThatComesIsAnswered(t *testing.T) {
	s, err := newSupervisor()
	if err != nil {
		t.Fatal(err)
	}
	for number, c := range s.numbers {
		if c == nil {
			t.Errorf("call %d comes, and nothing answers it", number)
		}
	}
	if len(s.numbers) < 30 {
		t.Errorf("%d calls", len(s.numbers))
	}
}
