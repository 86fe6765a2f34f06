package userns

import (
	"errors"
	"os"
	"os/user"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/rootless-containers/rootlesskit/v3/pkg/parent/idtools"

	"rootlet/internal/testenv"
)

func ann() identity { return identity{names: []string{"ann", "1001"}, own: 1001} }

func TestRanges(t *testing.T) {
	for _, c := range []struct {
		name, data string
		want       []span
		wantErr    string
	}{
		{name: "empty", data: "", want: []span{}},
		{name: "one", data: "ann:100000:65536\n", want: []span{{100000, 65536}}},
		{name: "no newline at the end", data: "ann:100000:65536", want: []span{{100000, 65536}}},
		{
			name: "several in the order of the file, by name and by number",
			data: "ann:300000:10\nbob:200000:10\n1001:100000:20\nann:500000:30\n",
			want: []span{{300000, 10}, {100000, 20}, {500000, 30}},
		},
		{name: "the same by name and by number", data: "ann:300000:10\n1001:300000:10\n", want: []span{{300000, 10}}},
		{name: "comments, blanks, carriage returns", data: "# ann:1:2\n\n  ann:300000:10\r\n", want: []span{{300000, 10}}},
		{name: "a longer name is another user", data: "anna:1:2:3\nann:300000:10\n10010:x:y\n", want: []span{{300000, 10}}},
		{name: "another's junk does not matter", data: "junk\nbob:x:y\n:::\nbob:5:0\nann:300000:10\n", want: []span{{300000, 10}}},
		{name: "all the rest", data: "ann:100000:4294967295\n", want: []span{{100000, lastID - 100000 + 1}}},
		{name: "more than 64 bits", data: "ann:100000:18446744073709551616\n", wantErr: `/etc/subuid:1: "ann:100000:18446744073709551616": the count "18446744073709551616" is not a number`},
		{name: "the last id", data: "ann:4294967294:1\n", want: []span{{lastID, 1}}},
		{name: "beyond the last id", data: "ann:4294967295:1\n", wantErr: `/etc/subuid:1: "ann:4294967295:1": the first id "4294967295" is not a number from 0 to 4294967294`},
		{name: "negative", data: "ann:-5:1\n", wantErr: `/etc/subuid:1: "ann:-5:1": the first id "-5" is not a number from 0 to 4294967294`},
		{name: "two fields", data: "\nann:100000\n", wantErr: `/etc/subuid:2: "ann:100000": not of the form NAME:FIRST:COUNT`},
		{name: "four fields", data: "ann:100000:1:1\n", wantErr: `/etc/subuid:1: "ann:100000:1:1": not of the form NAME:FIRST:COUNT`},
		{name: "spaces for colons", data: "ann 100000 65536\n", wantErr: `/etc/subuid:1: "ann 100000 65536": not of the form NAME:FIRST:COUNT`},
		{name: "a word for a count", data: "ann:100000:many\n", wantErr: `/etc/subuid:1: "ann:100000:many": the count "many" is not a number`},
		{name: "an empty range", data: "ann:100000:0\n", wantErr: `/etc/subuid:1: "ann:100000:0": the range is empty`},
		{name: "overlap", data: "ann:100000:10\nann:100009:10\n", wantErr: `/etc/subuid:2: "ann:100009:10": the range overlaps line 1: "ann:100000:10"`},
		{name: "overlap of huge ranges", data: "ann:4000000000:999999999\nann:4294967294:9\n", wantErr: `/etc/subuid:2: "ann:4294967294:9": the range overlaps line 1: "ann:4000000000:999999999"`},
		{name: "the own id", data: "ann:1000:10\n", wantErr: `/etc/subuid:1: "ann:1000:10": the range holds the id 1001, which is the user's own`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseTable("/etc/subuid", c.data).ranges(ann())
			if c.wantErr != "" {
				var wrong *TableError
				if !errors.As(err, &wrong) || err.Error() != c.wantErr || wrong.Hint() == "" {
					t.Errorf("error %v, want %s", err, c.wantErr)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %v, %v; want %v", got, err, c.want)
			}
		})
	}
}

func TestShared(t *testing.T) {
	table := parseTable("/etc/subgid", "ann:100000:65536\nbob:165536:65536\neve:165535:1\nbad:165535:x\n")
	mine, err := table.ranges(ann())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`/etc/subgid:3: "eve:165535:1" overlaps the ids of ann: each can change the other's files`}
	if got := table.shared(ann(), mine); !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFreeRange(t *testing.T) {
	for _, c := range []struct {
		name, uids, gids string
		want             uint32
	}{
		{"nothing taken", "", "", 100000},
		{"after the others", "a:100000:65536\nb:165536:65536\n", "", 231072},
		{"free in both tables", "a:100000:65536\n", "b:165536:10\n", 165546},
		{"in a gap", "b:500000:65536\na:100000:65536\n", "", 165536},
		{"a gap that is too small", "b:165546:65536\na:100000:65536\n", "", 231082},
		{"a huge range over small ones", "a:100000:3000000\nb:200000:1\n", "", 3100000},
		{"junk takes nothing", "b:100000:x\n", "", 100000},
		{"nothing left", "a:0:4294967295\n", "", 100000},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := freeRange([]*table{parseTable("u", c.uids), parseTable("g", c.gids)})
			if got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}

// The ranges found must be those that RootlessKit finds, on the tables of this
// machine, which it can read too.
func TestRangesAreThoseOfRootlessKit(t *testing.T) {
	testenv.NeedSubIDs(t)
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	wantUIDs, wantGIDs, err := idtools.GetSubIDRanges(os.Getuid(), u.Username)
	if err != nil {
		testenv.Skip(t, "tables that idtools can read: "+err.Error())
	}
	h, err := thisHost()
	if err != nil {
		t.Fatal(err)
	}
	ids, err := h.subIDs()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		got  []span
		want []idtools.SubIDRange
	}{{ids.uids, wantUIDs}, {ids.gids, wantGIDs}} {
		if len(c.got) != len(c.want) {
			t.Fatalf("got %v, want %v", c.got, c.want)
		}
		for i, w := range c.want {
			if c.got[i] != clipped(uint32(w.Start), uint64(w.Length)) {
				t.Errorf("got %v, want %v", c.got[i], w)
			}
		}
	}
}

// FuzzTable holds that no table, whatever is in it, makes a map that the kernel
// refuses or that gives away the caller's own id, and that no other user's lines
// stop us.
func FuzzTable(f *testing.F) {
	f.Add("ann:100000:65536\n1001:300000:5\nbob:100000:65536\n")
	f.Add("ann:4294967294:4294967295\nann:0:1\nann\n")
	f.Add("# x\nann:100000:65536:1\n\x00:\nann 5 6\n1001:-1:+2")
	f.Add(strings.Repeat("ann:1:1\n", 3) + "ann:1002:18446744073709551615")
	f.Fuzz(func(t *testing.T, data string) {
		table := parseTable("/etc/subuid", data)
		mine, err := table.ranges(ann())
		if err != nil {
			checkQuotes(t, data, err)
			return
		}
		p := &Plan{}
		checkMap(t, p.allot(1001, mine))
		checkFree(t, table)
	})
}

// checkQuotes wants an error that names a line of this user which is there.
func checkQuotes(t *testing.T, data string, err error) {
	t.Helper()
	var wrong *TableError
	if !errors.As(err, &wrong) {
		t.Fatalf("error %v, want a TableError", err)
	}
	lines := strings.Split(data, "\n")
	if wrong.Line > len(lines) || strings.TrimSpace(lines[wrong.Line-1]) != wrong.Text {
		t.Errorf("%v: that is not line %d", err, wrong.Line)
	}
	if owner := firstWord(wrong.Text); owner != "ann" && owner != "1001" {
		t.Errorf("%v: that is not our line", err)
	}
}

// checkFree wants a proposal that nobody has, unless the table leaves no room.
func checkFree(t *testing.T, taken *table) {
	t.Helper()
	proposal := span{first: freeRange([]*table{taken}), count: proposedCount}
	for _, l := range taken.lines {
		if l.reason == "" && l.ids.overlaps(proposal) && uint64(l.ids.last())+proposedCount <= lastID && proposal.first != proposedFirst {
			t.Errorf("%v overlaps %q", proposal, l.text)
		}
	}
}

// checkMap wants what map_write in the kernel wants, and contiguous ids.
func checkMap(t *testing.T, extents []Extent) {
	t.Helper()
	if len(extents) > maxExtents || len(mapText(extents)) > maxMapBytes {
		t.Errorf("%d extents, %d bytes", len(extents), len(mapText(extents)))
	}
	next := uint64(0)
	for i, e := range extents {
		if uint64(e.ContainerID) != next || e.Size == 0 {
			t.Errorf("extent %v where container id %d is next", e, next)
		}
		next += uint64(e.Size)
		if next-1 > lastID || uint64(e.HostID)+uint64(e.Size)-1 > lastID {
			t.Errorf("extent %v goes beyond the last id", e)
		}
		for _, o := range extents[:i] {
			if (span{e.HostID, e.Size}).overlaps(span{o.HostID, o.Size}) {
				t.Errorf("extents %v and %v overlap", o, e)
			}
		}
	}
	back, err := parseMap(mapText(extents))
	if err != nil || !reflect.DeepEqual(back, extents) {
		t.Errorf("%v reads back as %v, %v", extents, back, err)
	}
}

func TestAllotStopsAtTheKernelsLimits(t *testing.T) {
	for _, c := range []struct {
		name  string
		first uint32 // decides how long a line is
		want  int    // extents
	}{
		{"lines", 1, 340},
		{"bytes of a page", 4_000_000_000, 4095 / len("100 4000000000 1\n")},
	} {
		t.Run(c.name, func(t *testing.T) {
			var many []span
			for i := range uint32(400) {
				many = append(many, span{first: c.first + 2*i, count: 1})
			}
			p := &Plan{}
			got := p.allot(0, many)
			checkMap(t, got)
			if len(got) < c.want || len(got) > maxExtents || len(p.Warnings) != 1 {
				t.Errorf("%d extents, want about %d; warnings %q", len(got), c.want, p.Warnings)
			}
			if want := "only " + strconv.Itoa(len(got)-1) + " of 400 subordinate"; !strings.HasPrefix(p.Warnings[0], want) {
				t.Errorf("warning %q, want %q", p.Warnings[0], want)
			}
		})
	}
}

func TestWithin(t *testing.T) {
	all := []Extent{{0, 0, 4294967295}}
	container := []Extent{{0, 1000, 1}, {1, 100000, 65535}, {200000, 300000, 10}}
	for _, c := range []struct {
		name  string
		spans []span
		own   []Extent
		want  []span
	}{
		{"all exist", []span{{100000, 65536}, {lastID, 1}}, all, []span{{100000, 65536}, {lastID, 1}}},
		{"none exist", []span{{100000, 65536}}, container, nil},
		{"some exist", []span{{65530, 100}}, container, []span{{65530, 6}}},
		{"in several extents", []span{{60000, 200000}}, container, []span{{60000, 5536}, {200000, 10}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := within(c.spans, c.own); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}
