package main

import (
	"fmt"
	"strings"

	"rootlet/internal/reportcard"
)

// table is the Markdown between the markers, and what is weaker than with podman.
func table(engines []engine, rows []reportcard.Row, facts string) (text string, weaker []string) {
	var s strings.Builder
	var podman *reportcard.Card
	s.WriteString("|")
	for _, e := range engines {
		s.WriteString(" | " + e.name)
		if e.name == podmanName {
			podman = e.card
		}
	}
	s.WriteString(" | weaker than podman? |\n|---" + strings.Repeat("|---", len(engines)) + "|---|\n")
	for _, row := range rows {
		s.WriteString("| " + row.Name)
		verdict := "no"
		if row.Weaker == nil {
			verdict = "not compared"
		}
		for _, e := range engines {
			s.WriteString(" | " + row.Shown(e.card))
			if !strings.HasPrefix(e.name, rootletName) || row.Weaker == nil {
				continue
			}
			for _, what := range row.Weaker(e.card, podman) {
				weaker = append(weaker, fmt.Sprintf("%s: %s: %s", e.name, row.Name, what))
				verdict = "YES"
			}
		}
		s.WriteString(" | " + verdict + " |\n")
	}
	const main = "x86-64"
	fmt.Fprintf(&s, "\n- %s\n- Not compared, being newer than all that podman's profile has: %s.\n", facts, strings.Join(reportcard.Unknown(podman, main), ", "))
	for _, e := range engines {
		if strings.HasPrefix(e.name, rootletName) {
			fmt.Fprintf(&s, "- %s closes of %s: %s.\n", e.name, main, strings.Join(e.card.Closed(main), ", "))
		}
	}
	return s.String(), weaker
}
