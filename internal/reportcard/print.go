package reportcard

import (
	"fmt"
	"strings"
)

// String is the card as a person reads it: each property, and what is exposed by it.
func (c *Card) String() string {
	var s strings.Builder
	for _, row := range Rows(nil) {
		fmt.Fprintf(&s, "%s: %s\n", row.Name, row.Shown(c))
		if row.exposed == nil {
			continue
		}
		for _, e := range row.exposed(c) {
			fmt.Fprintf(&s, "    %s\n", e)
		}
	}
	return s.String()
}
