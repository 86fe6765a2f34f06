package hostile

import (
	"regexp"
	"testing"
)

// TestCorpus looks at the table itself; integration plays it.
func TestCorpus(t *testing.T) {
	all := Corpus()
	if len(all) < 120 {
		t.Errorf("%d cases", len(all))
	}
	names, classes := map[string]bool{}, map[int]int{}
	for _, c := range all {
		classes[c.Class]++
		switch {
		case names[c.String()]:
			t.Errorf("%s: twice", c)
		case !regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`).MatchString(c.Name):
			t.Errorf("%s: is no repository", c)
		case (c.Serve == nil) == (c.Archive == nil):
			t.Errorf("%s: is served or loaded", c)
		case (c.Run != nil) != (c.Refused != "" && c.Run != nil || c.Shows != ""):
			t.Errorf("%s: what is run shows something, or is refused", c)
		}
		names[c.String()] = true
		for _, pattern := range []string{c.Refused, c.Shows, c.Hides} {
			regexp.MustCompile(pattern)
		}
	}
	for _, class := range []int{14, 15, 16, 17, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33} {
		if classes[class] < 5 {
			t.Errorf("%d cases of class %d", classes[class], class)
		}
	}
}
