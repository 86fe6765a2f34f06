package doctor

import (
	"fmt"
	"strings"
)

// Text is the table: a line a need, and below it what would better it.
func Text(needs []Need) string {
	var b strings.Builder
	for _, n := range needs {
		fmt.Fprintf(&b, "%-8s %-18s %s\n", n.Status, n.Name, n.Now)
		below(&b, "better", n.Better)
		below(&b, "why", n.Why)
		for _, line := range n.Fix.User {
			below(&b, "as you", line)
		}
		for _, line := range n.Fix.Admin {
			below(&b, "as root", line)
		}
	}
	return b.String()
}

// below is one line under a need. It is never broken: lines are there to be
// copied, and a terminal wraps them itself.
func below(b *strings.Builder, what, text string) {
	if text != "" {
		fmt.Fprintf(b, "%9s%-8s %s\n", "", what, text)
	}
}

// Left is what is still to be typed.
func Left(needs []Need) string {
	var b strings.Builder
	for _, n := range needs {
		for _, line := range n.Fix.User {
			fmt.Fprintf(&b, "%-18s as you   %s\n", n.Name, line)
		}
		for _, line := range n.Fix.Admin {
			fmt.Fprintf(&b, "%-18s as root  %s\n", n.Name, line)
		}
	}
	return b.String()
}
