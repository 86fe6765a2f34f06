package sandbox

import (
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay"
	"rootlet/sandbox/record"
	"rootlet/userns"
)

// u1 is the map of a user with 65536 subordinate ids, in two ranges.
var u1 = []userns.Extent{
	{ContainerID: 0, HostID: 1000, Size: 1},
	{ContainerID: 1, HostID: 100000, Size: 500},
	{ContainerID: 501, HostID: 300000, Size: 65036},
}

func TestSameIDs(t *testing.T) {
	m := sameIDs(u1)
	for _, id := range []int{0, 1, 500, 501, 65536} {
		if got, ok := m.toU1(id); !ok || got != id {
			t.Errorf("%d is %d, %v in U1", id, got, ok)
		}
	}
	if _, ok := m.toU1(65537); ok {
		t.Error("65537 is mapped")
	}
	if m.shifts() || m.bounds() != [2]int{0, 65536} {
		t.Errorf("shifts %v, bounds %v", m.shifts(), m.bounds())
	}
	if want := "0 0 1\n1 1 500\n501 501 65036\n"; m.text() != want {
		t.Errorf("map %q", m.text())
	}
}

func TestKeepIDs(t *testing.T) {
	m := keepIDs(u1, 1000)
	for container, want := range map[int]int{0: 1, 499: 500, 500: 501, 999: 1000, 1000: 0, 1001: 1001, 65536: 65536} {
		if got, ok := m.toU1(container); !ok || got != want {
			t.Errorf("%d is %d, %v in U1, want %d", container, got, ok, want)
		}
	}
	if !m.shifts() {
		t.Error("nothing is shifted")
	}
	// The kernel wants each extent of U2 inside one of U1, and none twice.
	seen := map[uint32]bool{}
	for _, e := range m {
		inside := false
		for _, u := range u1 {
			inside = inside || e.HostID >= u.ContainerID && uint64(e.HostID)+uint64(e.Size) <= uint64(u.ContainerID)+uint64(u.Size)
		}
		if !inside || seen[e.HostID] {
			t.Errorf("extent %+v", e)
		}
		seen[e.HostID] = true
	}
}

func TestKeepIDsWithOneID(t *testing.T) {
	m := keepIDs(u1[:1], 1000)
	if !reflect.DeepEqual(m, idMap{{ContainerID: 1000, HostID: 0, Size: 1}}) {
		t.Fatalf("got %+v", m)
	}
}

// TestNoMap is about containers without the caller.
func TestNoMap(t *testing.T) {
	m, _ := mapsFor(record.UserNS{Mode: record.NoMap}, u1, u1, 1000, 1000)
	if want := "0 1 500\n500 501 65036\n"; m.text() != want || !m.shifts() || m.hasCaller() {
		t.Errorf("map %q, shifts %v, has the caller %v", m.text(), m.shifts(), m.hasCaller())
	}
	// Every owner in U1 has one on disk, and no two have the same.
	want := []fuseoverlay.Shift{{From: 0, To: 1, Size: 500}, {From: 500, To: 501, Size: 65036}, {From: 65536, To: 0, Size: 1}}
	if got := m.shown(); !reflect.DeepEqual(got, want) {
		t.Errorf("shown as %v", got)
	}
	for id, want := range map[uint32]uint32{0: nobody, 1: 0, 500: 499, 501: 500, 65537: nobody} {
		if got := m.fromU1(id); got != want {
			t.Errorf("%d of U1 is %d, want %d", id, got, want)
		}
	}
	if two := subIDs([]userns.Extent{u1[0], {ContainerID: 1, HostID: 100000, Size: 1}}); !two.shifts() {
		t.Errorf("%v shifts nothing", two)
	}
	if one := subIDs(u1[:1]); len(one) != 0 {
		t.Errorf("out of one id came %v", one)
	}
}

func TestChooseCaps(t *testing.T) {
	for _, c := range []struct {
		add, drop string
		want      capSet
	}{
		{"", "", defaultCaps},
		{"net_raw", "", defaultCaps | 1<<unix.CAP_NET_RAW},
		{"CAP_SYS_ADMIN", "chown", defaultCaps&^(1<<unix.CAP_CHOWN) | 1<<unix.CAP_SYS_ADMIN},
		{"", "ALL", 0},
		{"chown", "all", 1 << unix.CAP_CHOWN},
		{"ALL", "", 1<<41 - 1},
		{"ALL", "kill", (1<<41 - 1) &^ (1 << unix.CAP_KILL)},
		{"kill", "kill", defaultCaps &^ (1 << unix.CAP_KILL)},
	} {
		got, err := chooseCaps(strings.Fields(c.add), strings.Fields(c.drop))
		if err != nil || got != c.want {
			t.Errorf("add %q drop %q: %v, %v; want %v", c.add, c.drop, got, err, c.want)
		}
	}
	if err := CheckCaps([]string{"SUPERPOWER"}, nil); err == nil || !strings.Contains(err.Error(), "SUPERPOWER") {
		t.Errorf("got %v", err)
	}
}

func TestTheDefaultIsPodmansEleven(t *testing.T) {
	const want = "CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE SYS_CHROOT SETFCAP"
	if got := defaultCaps.String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestParseSignal(t *testing.T) {
	for text, want := range map[string]unix.Signal{"TERM": 15, "sigterm": 15, "9": 9, "SIGRTMIN+3": 37, "RTMAX": 64, "rtmax-1": 63} {
		if got, err := ParseSignal(text); err != nil || got != want {
			t.Errorf("%s is %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "0", "65", "-1", "SIGNOPE", "RTMIN+99", "RTMIN-1"} {
		if got, err := ParseSignal(text); err == nil {
			t.Errorf("%q is %d", text, got)
		}
	}
}

func TestParseUlimit(t *testing.T) {
	for text, want := range map[string][2]int64{"nofile=64": {64, 64}, "nofile=10:20": {10, 20}, "core=0:0": {0, 0}} {
		got, err := ParseUlimit(text)
		if err != nil || got.Soft != want[0] || got.Hard != want[1] {
			t.Errorf("%s is %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"nofile", "nofile=x", "nofile=20:10", "nosuch=1", "nofile=-2", "nofile=-1:5", "=5", "nofile="} {
		if got, err := ParseUlimit(text); err == nil {
			t.Errorf("%q is %+v", text, got)
		}
	}
}

func TestAFailureTravelsWithItsHint(t *testing.T) {
	f := failureOf(&userns.Forbidden{Setting: "user.max_user_namespaces", Fix: "sysctl user.max_user_namespaces=10000"})
	if f.Code != codeEngine || f.Hint() != "sysctl user.max_user_namespaces=10000" || f.NoImage {
		t.Errorf("got %+v", f)
	}
	if again := failureOf(f); again != f {
		t.Errorf("packed twice: %+v", again)
	}
}
