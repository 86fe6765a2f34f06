package record

import (
	"slices"
	"testing"
)

func TestParseSet(t *testing.T) {
	for text, want := range map[string][]int{"0": {0}, "0-2,4": {0, 1, 2, 4}, "1,1": {1, 1}} {
		if got, err := ParseSet(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "-", "a", "2-1", "0-99999", "0-8191,0-8191", "1-2-3", " 1", "0x1"} {
		if got, err := ParseSet(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}
