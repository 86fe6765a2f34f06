package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/template"

	"golang.org/x/term"
)

// inspection is the answer of an inspect: an array of JSON, or a template's
// text for each thing (docker/cli, command/inspect).
type inspection struct {
	compact  bool               // --format json
	template *template.Template // nil: JSON
	text     strings.Builder
	list     []json.RawMessage
}

func newInspection(format string) (*inspection, error) {
	switch format {
	case "":
		return &inspection{}, nil
	case "json":
		return &inspection{compact: true}, nil
	}
	t, err := parseTemplate(format)
	if err != nil {
		return nil, err
	}
	return &inspection{template: t}, nil
}

// add takes one thing. A template may use the names of Docker's Go structures
// (.ID) or those of its JSON (.Id).
func (i *inspection) add(object any) error {
	raw, err := asJSON(object)
	if err != nil {
		return err
	}
	if i.template == nil {
		i.list = append(i.list, json.RawMessage(raw))
		return nil
	}
	var line bytes.Buffer
	if err := i.template.Execute(&line, object); err != nil {
		line.Reset()
		byName, decodeErr := decoded(raw)
		if decodeErr != nil {
			return decodeErr
		}
		if i.template.Option("missingkey=error").Execute(&line, byName) != nil {
			return fmt.Errorf("--format: %w", err)
		}
		i.template.Option("missingkey=default")
	}
	i.text.Write(line.Bytes())
	i.text.WriteByte('\n')
	return nil
}

// decoded is the JSON as maps, in which numbers stay as they are written.
func decoded(raw string) (any, error) {
	var object any
	d := json.NewDecoder(strings.NewReader(raw))
	d.UseNumber()
	err := d.Decode(&object)
	return object, err
}

// print prints what was added.
func (i *inspection) print(out io.Writer) error {
	text, err := i.String()
	if err != nil {
		return err
	}
	if file, ok := out.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		text = shownLines(text)
	}
	_, err = io.WriteString(out, text)
	return err
}

// String is the whole answer.
func (i *inspection) String() (string, error) {
	if i.template != nil {
		if i.text.Len() == 0 {
			return "\n", nil // as Docker's, where nothing was found
		}
		return i.text.String(), nil
	}
	if len(i.list) == 0 {
		return "[]\n", nil
	}
	text, err := asJSON(i.list)
	if err != nil || i.compact {
		return text + "\n", err
	}
	var indented bytes.Buffer
	err = json.Indent(&indented, []byte(text), "", "    ")
	return indented.String() + "\n", err
}

// shownLines escapes what must not reach a terminal, line by line: an image
// and a container choose their labels, and what else is shown.
func shownLines(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		whole := strings.TrimSuffix(line, "\n")
		for n, part := range strings.Split(whole, "\t") {
			if n > 0 {
				b.WriteByte('\t')
			}
			b.WriteString(printable(part))
		}
		b.WriteString(line[len(whole):])
	}
	return b.String()
}
