package cli

import (
	"errors"
	"strings"
	"testing"
	"time"

	"rootlet/internal/testenv"
	"rootlet/sandbox/record"
)

func somePs(c *psCmd) []any {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	visible := printable
	if (format{text: c.Format}).json() {
		visible = func(s string) string { return s }
	}
	id := strings.Repeat("0123456789abcdef", 4)
	return []any{
		c.row(record.Entry{ID: id, Spec: record.Spec{
			Name: "web", Image: "nginx", Created: now.Add(-time.Hour), Network: "none",
			Process: record.Process{Cmd: []string{"nginx", "-g", "daemon off; master_process on;"}},
			Labels:  map[string]string{"com.example.tier-name": "<front>", "evil": "\x1b]0;x\x07\n{\"fake\":1}"},
			Mounts:  []record.Mount{{Type: record.Bind, Source: "/home/me/a-long-path"}, {Type: record.Volume, Source: "data"}, {Type: record.Tmpfs}},
		}, State: record.State{Status: record.Running, Started: now.Add(-3 * time.Minute)}}, now, visible),
		c.row(record.Entry{
			ID: id, Spec: record.Spec{Name: "gone", Image: "debian", Created: now.Add(-49 * time.Hour)},
			State: record.State{Status: record.Exited, ExitCode: 137, Finished: now.Add(-2 * time.Hour)},
		}, now, visible),
	}
}

func TestPsFormats(t *testing.T) {
	var all strings.Builder
	for _, text := range []string{
		"", "table", `table {{.Names}}\t{{.Label "com.example.tier-name"}}\t{{.Mounts}}`, "json", `{{.ID}}\t{{upper .Names}}`,
		`{{range split .Image "i"}}[{{.}}]{{end}}`, `{{json .Labels}}`, `{{pad (truncate .State 3) 1 2}}|`, `{{.Label "evil"}}`,
	} {
		all.WriteString("--- " + text + "\n")
		if err := (format{text: text, columns: psColumns}).list(&all, psHeader(), somePs(&psCmd{Format: text})); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	all.WriteString("--- --quiet\n")
	if err := (format{text: "json", columns: psColumns, quiet: true}).list(&all, psHeader(), somePs(&psCmd{})); err != nil {
		t.Error(err)
	}
	testenv.Golden(t, "ps.golden", all.String())
}

func TestFormatErrors(t *testing.T) {
	for _, text := range []string{"{{.ID", "{{nope .ID}}", "table {{end}}"} {
		err := format{text: text, columns: psColumns}.list(new(strings.Builder), psHeader(), nil)
		var bad *formatError
		if !errors.As(err, &bad) {
			t.Errorf("%s: %v", text, err)
		}
	}
	var out strings.Builder
	if err := (format{text: "{{.ID}} {{.Nope}}", columns: psColumns}).list(&out, psHeader(), somePs(&psCmd{})); err == nil || out.Len() > 0 {
		t.Errorf("unknown field: %v, printed %q", err, out.String())
	}
}

func TestStatus(t *testing.T) {
	now := time.Unix(1_000_000_000, 0)
	for _, test := range []struct {
		state record.State
		want  string
	}{
		{record.State{Status: record.Created}, "Created"},
		{record.State{Status: record.Running, Started: now.Add(-70 * time.Second)}, "Up About a minute"},
		{record.State{Status: record.Exited, ExitCode: 1, Finished: now.Add(-5 * time.Second)}, "Exited (1) 5 seconds ago"},
		{record.State{Status: record.Exited, ExitCode: 137}, "Exited (137) some time ago"},
	} {
		if got := status(test.state, now); got != test.want {
			t.Errorf("%+v: %s, want %s", test.state, got, test.want)
		}
	}
}

func TestSplitName(t *testing.T) {
	for full, want := range map[string][2]string{
		"docker.io/library/debian:latest": {"debian", "latest"},
		"docker.io/me/app:1":              {"me/app", "1"},
		"127.0.0.1:5000/app:1":            {"127.0.0.1:5000/app", "1"},
		"quay.io/a/b@sha256:" + zeros(64): {"quay.io/a/b", "<none>"},
		"localhost/hello:latest":          {"hello", "latest"},
		"docker.io/library/localhost:1":   {"localhost", "1"},
	} {
		if repository, tag := splitName(full); repository != want[0] || tag != want[1] {
			t.Errorf("%s: %s, %s", full, repository, tag)
		}
	}
}

func zeros(n int) string { return strings.Repeat("0", n) }
