package record

import (
	"fmt"
	"strconv"
	"strings"
)

// maxSet is the highest number that a list may have: the kernel's own bound on processors.
const maxSet = 8192

// ParseSet reads the kernel's lists of numbers and ranges (cpuset(7), "List format").
func ParseSet(text string) ([]int, error) {
	var set []int
	for part := range strings.SplitSeq(text, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		first, err1 := strconv.ParseUint(from, 10, 16)
		last, err2 := strconv.ParseUint(to, 10, 16)
		if err1 != nil || err2 != nil || first > last || last >= maxSet {
			return nil, fmt.Errorf("want a list such as 0-2,4")
		}
		for n := first; n <= last; n++ {
			set = append(set, int(n))
		}
		if len(set) > maxSet {
			return nil, fmt.Errorf("want a list such as 0-2,4")
		}
	}
	return set, nil
}
