package userns

import (
	"os"
	"reflect"
	"testing"

	"github.com/rootless-containers/rootlesskit/v3/pkg/parent/idtools"

	"rootlet/internal/testenv"
)

// getsubids is asked for what the tables do not say: here they are empty, and
// the machine's own getsubids answers from the machine's own.
func TestPlanAsksGetsubids(t *testing.T) {
	testenv.NeedSubIDs(t)
	real, err := thisHost()
	if err != nil {
		t.Fatal(err)
	}
	want, err := real.subIDs()
	if err != nil {
		t.Fatal(err)
	}
	h := fakeHost(t, map[string]string{nsswitch: "subid: sss\n", "/etc/passwd": ""})
	h.uid, h.gid = real.uid, real.gid
	if err := os.Symlink(testenv.NeedProgram(t, "getsubids"), h.root+"/usr/bin/getsubids"); err != nil {
		t.Fatal(err)
	}
	if err := h.read(real.name); err != nil {
		t.Fatal(err)
	}
	// Whoever sets the environment does not choose the program.
	t.Setenv(getsubidsVariable, "/bin/false")
	got, err := h.subIDs()
	if err != nil {
		t.Fatal(err)
	}
	if got.asked != nil || !reflect.DeepEqual(got.uids, want.uids) || !reflect.DeepEqual(got.gids, want.gids) {
		t.Errorf("got %v %v %v, want %v %v", got.uids, got.gids, got.asked, want.uids, want.gids)
	}
	if v := os.Getenv(getsubidsVariable); v != "/bin/false" {
		t.Errorf("the environment was left with %s=%s", getsubidsVariable, v)
	}
}

func TestSpans(t *testing.T) {
	for _, c := range []struct {
		name    string
		in      []idtools.SubIDRange
		want    []span
		wantErr string
	}{
		{name: "two", in: []idtools.SubIDRange{{Start: 100000, Length: 5}, {Start: 5, Length: 1}}, want: []span{{100000, 5}, {5, 1}}},
		{name: "all the rest", in: []idtools.SubIDRange{{Start: lastID, Length: 1 << 40}}, want: []span{{lastID, 1}}},
		{name: "none", wantErr: "no ranges"},
		{name: "negative", in: []idtools.SubIDRange{{Start: -1, Length: 5}}, wantErr: "5 ids from -1 on is no range"},
		{name: "empty", in: []idtools.SubIDRange{{Start: 1, Length: 0}}, wantErr: "0 ids from 1 on is no range"},
		{name: "beyond", in: []idtools.SubIDRange{{Start: lastID + 1, Length: 1}}, wantErr: "1 ids from 4294967295 on is no range"},
		{name: "overlap", in: []idtools.SubIDRange{{Start: 10, Length: 5}, {Start: 14, Length: 1}}, wantErr: "the range of 1 ids from 14 on overlaps another or the user's own id"},
		{name: "own", in: []idtools.SubIDRange{{Start: 1000, Length: 5}}, wantErr: "the range of 5 ids from 1000 on overlaps another or the user's own id"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := spans(c.in, 1001)
			if errorText(err) != c.wantErr || !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %v, %v; want %v, %s", got, err, c.want, c.wantErr)
			}
		})
	}
}
