package record

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestHighestFree(t *testing.T) {
	taken := []Range{{First: 50, Count: 10}, {First: 90, Count: 11}, {First: 1, Count: 5}}
	for _, c := range []struct {
		count, last uint32
		want        Range // none: there is nothing
	}{
		{10, 100, Range{80, 10}},
		{30, 100, Range{60, 30}},
		{31, 100, Range{19, 31}},
		{44, 100, Range{6, 44}},
		{45, 100, Range{}},
		{40, 150, Range{111, 40}},
		{10, 55, Range{40, 10}},
		{1, 0, Range{}},
		{1, 5, Range{}},
	} {
		got, ok := highestFree(append([]Range{}, taken...), c.count, c.last)
		if got != c.want || ok != (c.want != Range{}) {
			t.Errorf("%d ids up to %d: %v, %v; want %v", c.count, c.last, got, ok, c.want)
		}
	}
	if got, ok := highestFree(nil, 100, 100); !ok || got != (Range{1, 100}) {
		t.Errorf("all there are: %v, %v", got, ok)
	}
}

func TestTakeRange(t *testing.T) {
	root := Root(t.TempDir())
	create := func(name string) *Container {
		c, err := root.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	// Who comes at the same moment gets another one.
	var got [8]Range
	var all [8]*Container
	var group sync.WaitGroup
	for i := range got {
		all[i] = create("")
		group.Go(func() {
			var err error
			if got[i], err = all[i].TakeRange(1000, 9000); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	seen := map[Range]bool{}
	for _, r := range got {
		if seen[r] || r.Count != 1000 || r.First == 0 || r.last() > 9000 || r.First%1000 != 1 {
			t.Errorf("ranges %v", got)
		}
		seen[r] = true
	}
	// Nothing is left but 1000, and the error says who has the others.
	if err := all[0].WriteSpec(&Spec{Version: Version, ID: all[0].ID, Name: "first"}); err != nil {
		t.Fatal(err)
	}
	var none *NoRangeError
	if _, err := create("late").TakeRange(1001, 9000); !errors.As(err, &none) || !strings.Contains(err.Error(), "9000 subordinate ids") || !strings.Contains(err.Error(), "have 8000:") || !strings.Contains(err.Error(), "first (1000)") {
		t.Errorf("got %v", err)
	}
	// What goes frees its ids, and so does what its monitor has left unfinished.
	if err := all[1].Close(); err != nil {
		t.Fatal(err)
	}
	if r, err := create("next").TakeRange(1000, got[1].last()); err != nil || r != got[1] {
		t.Errorf("got %v, %v, and not %v", r, err, got[1])
	}
	if _, err := all[2].Vanish(); err != nil {
		t.Fatal(err)
	}
	if r, err := create("last").TakeRange(1000, got[2].last()); err != nil || r != got[2] {
		t.Errorf("got %v, %v, and not %v", r, err, got[2])
	}
}

// TestNobodyIsNotGiven is about the id of files whose owner has none.
func TestNobodyIsNotGiven(t *testing.T) {
	root := Root(t.TempDir())
	c, err := root.Create("")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if r, err := c.TakeRange(1024, 65536); err != nil || r.last() != 65533 {
		t.Errorf("got %v, %v", r, err)
	}
	if err := os.Remove(filepath.Join(c.Dir, rangeFile)); err != nil {
		t.Fatal(err)
	}
	if r, err := c.TakeRange(65536, 65536); err != nil || r.First != 1 {
		t.Errorf("got %v, %v", r, err)
	}
}
