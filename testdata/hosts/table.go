package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"

	"rootlet/internal/hosts"
)

// table is the Markdown between the markers.
func table(rows []row, facts string) string {
	var s strings.Builder
	s.WriteString("| condition | doctor | rootlet | what it says | podman | what it says |\n|---|---|---|---|---|---|\n")
	for _, r := range rows {
		fmt.Fprintf(&s, "| %s | %d | %s | %s | %s | %s |\n", cell(r.condition.Name), r.rootlet.Doctor.Code,
			exit(r.rootlet, rows[0].rootlet, r.condition), cell(rootletSays(r.rootlet)), exit(r.podman, rows[0].podman, r.condition), cell(podmanSays(r.podman)))
	}
	fmt.Fprintf(&s, "\n%s\n", facts)
	return s.String()
}

// exit is the exit code of what failed, or of the run, and what the container lacks.
func exit(o, plain hosts.Outcome, c hosts.Condition) string {
	last := o.Failed()
	text := fmt.Sprint(last.Code)
	switch {
	case last.Hung:
		text += ", hangs"
	case o.Load.Code != 0:
		text += " (load)"
	case last.Code == 0 && c.Run == "":
		if less := hosts.Less(o, plain); len(less) > 0 {
			text += ", less: " + strings.Join(less, ", ")
		}
	}
	return text
}

// said are the lines of standard error that begin so, without that.
func said(o hosts.Outcome, prefix string) (lines []string) {
	for line := range strings.Lines(o.Load.Stderr + o.Run.Stderr) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), prefix); ok {
			lines = append(lines, text)
		}
	}
	return lines
}

func rootletSays(o hosts.Outcome) string {
	if o.Failed().Code != 0 {
		if errs := said(o, "rootlet: error: "); len(errs) > 0 {
			return errs[0]
		}
		return lastLine(o.Failed().Stderr)
	}
	return strings.Join(said(o, "rootlet: notice: "), "; ")
}

var podmanLog = regexp.MustCompile(`^time="[^"]*" level=(?:error|warning) msg="(.*)"$`)

func podmanSays(o hosts.Outcome) string {
	if o.Failed().Code != 0 {
		for line := range strings.Lines(o.Failed().Stderr) {
			if text, ok := strings.CutPrefix(strings.TrimSpace(line), "Error: "); ok {
				return text
			}
		}
		return lastLine(o.Failed().Stderr)
	}
	var logged []string
	for line := range strings.Lines(o.Load.Stderr + o.Run.Stderr) {
		if m := podmanLog.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			logged = append(logged, strings.ReplaceAll(m[1], `\"`, `"`))
		}
	}
	return strings.Join(logged, "; ")
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// longest is what a cell holds, in bytes.
const longest = 260

var passing = regexp.MustCompile(`\b[0-9a-f]{64}\b|tmp-?[0-9]{6,}|newuidmap [0-9]+ `)

// cell is text for a Markdown table, without what differs from run to run.
func cell(text string) string {
	text = passing.ReplaceAllStringFunc(text, func(s string) string {
		if strings.HasPrefix(s, "newuidmap") {
			return "newuidmap PID "
		}
		return s[:min(12, len(s))]
	})
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "..."
	}
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "\n", " ", "*", `\*`, "_", `\_`).Replace(text)
}

// inFull prints what the commands printed.
func inFull(r row) {
	fmt.Fprintf(os.Stdout, "===== %s\n", r.condition.Name)
	for _, s := range []struct {
		what string
		hosts.Said
	}{
		{"rootlet doctor", r.rootlet.Doctor},
		{"rootlet load", r.rootlet.Load},
		{"rootlet run", r.rootlet.Run},
		{"podman load", r.podman.Load},
		{"podman run", r.podman.Run},
	} {
		fmt.Printf("--- %s: %d, %d ms, hung: %v\n%s%s", s.what, s.Code, s.Took.Milliseconds(), s.Hung, s.Stdout, s.Stderr)
	}
}
