// Package markers writes what a program has measured into a page that people write: between
// two comments of Markdown. The programs that make tables of docs call it (testdata/bench,
// testdata/report).
package markers

import (
	"fmt"
	"os"
	"strings"
)

// Write puts text between the lines "<!-- NAME: begin -->" and "<!-- NAME: end -->" of a
// page. The error names the one that is missing.
func Write(page, name, text string) error {
	begin, end := "<!-- "+name+": begin -->\n", "<!-- "+name+": end -->\n"
	old, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	head, rest, ok := strings.Cut(string(old), begin)
	if !ok {
		return fmt.Errorf("%s: no line %s", page, strings.TrimSpace(begin))
	}
	_, foot, ok := strings.Cut(rest, end)
	if !ok {
		return fmt.Errorf("%s: no line %s", page, strings.TrimSpace(end))
	}
	return os.WriteFile(page, []byte(head+begin+text+end+foot), 0o644)
}
