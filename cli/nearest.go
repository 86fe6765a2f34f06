package cli

import (
	"fmt"
	"slices"
	"strings"
)

// nearest proposes what may have been meant by a word that is not known, as the
// end of a message, or nothing where no known word is like it.
func nearest(word string, known []string) string {
	best, least := "", 3
	for _, k := range known {
		d := distance(word, k)
		if len(strings.Trim(word, "-")) > 1 && strings.HasPrefix(k, word) {
			d = 1
		}
		if d < least && d < len(strings.Trim(k, "-")) {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(": did you mean %s?", best)
}

// distance is how many letters must be put in, left out, exchanged or swapped
// with their neighbour to make b of a (Damerau, restricted).
func distance(a, b string) int {
	var before, above []int
	for i := range len(a) + 1 {
		row := make([]int, len(b)+1)
		for k := range row {
			switch {
			case i == 0 || k == 0:
				row[k] = i + k
				continue
			case a[i-1] == b[k-1]:
				row[k] = above[k-1]
			default:
				row[k] = 1 + slices.Min([]int{above[k-1], above[k], row[k-1]})
			}
			if i > 1 && k > 1 && a[i-1] == b[k-2] && a[i-2] == b[k-1] {
				row[k] = min(row[k], before[k-2]+1)
			}
		}
		before, above = above, row
	}
	return above[len(b)]
}
