package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"text/template"
)

// format is --format of a command that lists: "table", "table TEMPLATE",
// "json", or a Go template (docker/cli's formatter).
type format struct {
	text    string
	columns string // the template of the table that is shown without --format
	raw     string // that of --format raw, where there is such a thing
	quiet   bool   // ids only, whatever the format
}

func (f format) json() bool { return !f.quiet && f.text == "json" }

// list prints rows. header is a row whose fields hold the columns' titles.
func (f format) list(out io.Writer, header any, rows []any) error {
	if f.json() {
		return listJSON(out, rows)
	}
	text, table := strings.CutPrefix(f.text, "table")
	table = table || f.text == ""
	switch {
	case f.quiet:
		text, table = "{{.ID}}", false
	case f.raw != "" && text == "raw":
		text = f.raw
	case table && strings.TrimSpace(text) == "":
		text = f.columns
	}
	t, err := parseTemplate(strings.TrimPrefix(text, " "))
	if err != nil {
		return err
	}
	if !table {
		return executeEach(out, t, rows)
	}
	// Columns are at least ten wide and three apart, as Docker's.
	columns := tabwriter.NewWriter(out, 10, 1, 3, ' ', 0)
	if err := executeEach(columns, t, append([]any{header}, rows...)); err != nil {
		return err
	}
	return columns.Flush()
}

func listJSON(out io.Writer, rows []any) error {
	for _, row := range rows {
		line, err := json.Marshal(row)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(out, "%s\n", line); err != nil {
			return err
		}
	}
	return nil
}

func executeEach(out io.Writer, t *template.Template, rows []any) error {
	for _, row := range rows {
		if err := executeLine(out, t, row); err != nil {
			return err
		}
	}
	return nil
}

// printFormatted is --format of a command with one answer.
func printFormatted(out io.Writer, text string, answer any) error {
	if text == "json" {
		return listJSON(out, []any{answer})
	}
	t, err := parseTemplate(text)
	if err != nil {
		return err
	}
	return executeLine(out, t, answer)
}

// executeLine prints a template's text, whole or not at all, and a newline.
func executeLine(out io.Writer, t *template.Template, data any) error {
	var line strings.Builder
	if err := t.Execute(&line, data); err != nil {
		return fmt.Errorf("--format: %w", err)
	}
	_, err := fmt.Fprintln(out, line.String())
	return err
}

// parseTemplate reads a Go template with Docker's functions. In a shell's
// quotes \t and \n are two characters; they mean one.
func parseTemplate(text string) (*template.Template, error) {
	text = strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(text)
	t, err := template.New("--format").Funcs(template.FuncMap{
		"json":     asJSON,
		"split":    strings.Split,
		"join":     strings.Join,
		"title":    title,
		"lower":    strings.ToLower,
		"upper":    strings.ToUpper,
		"pad":      pad,
		"truncate": truncate,
	}).Parse(text)
	if err != nil {
		return nil, &formatError{err}
	}
	return t, nil
}

// formatError is a template that cannot be read. Docker exits with 64 then.
type formatError struct{ err error }

func (e *formatError) Error() string { return "--format: " + e.err.Error() }
func (e *formatError) Unwrap() error { return e.err }

func asJSON(v any) (string, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return strings.TrimSpace(b.String()), err
}

func title(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// pad puts spaces around a text that is not empty.
func pad(s string, before, after int) string {
	if s == "" {
		return s
	}
	return strings.Repeat(" ", max(before, 0)) + s + strings.Repeat(" ", max(after, 0))
}

func truncate(s string, length int) string {
	if runes := []rune(s); len(runes) > max(length, 0) {
		return string(runes[:max(length, 0)])
	}
	return s
}

// shortID is an id as tables show it: twelve digits.
func shortID(id string, whole bool) string {
	if whole {
		return id
	}
	return id[:min(12, len(id))]
}

// labelOf is one label's value, for templates; of nil, as the header has it, the
// last part of the label's name (docker/cli, formatter).
func labelOf(labels map[string]string, name string) string {
	if labels != nil {
		return printable(labels[name])
	}
	parts := strings.Split(name, ".")
	return strings.NewReplacer("-", " ", "_", " ").Replace(parts[len(parts)-1])
}
