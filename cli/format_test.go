package cli

import (
	"errors"
	"strings"
	"testing"
	"time"

	"rootlet/fuseoverlay"
	"rootlet/internal/testenv"
	"rootlet/sandbox/record"
)

func somePs(text string) []any {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	id := strings.Repeat("0123456789abcdef", 4)
	rows := psRows{
		now: now, shown: printable, written: map[string]int64{id: 2},
		images: []fuseoverlay.Image{{ID: "aa", Names: []string{"docker.io/library/nginx:latest"}, Size: 21_500_000}},
	}
	if text == "json" {
		rows.shown = func(s string) string { return s }
	}
	return []any{
		rows.row(record.Entry{ID: id, Spec: record.Spec{
			Name: "web", Image: "nginx", ImageID: "aa", Created: now.Add(-time.Hour), Network: "slirp4netns", Platform: "linux/amd64",
			Process:      record.Process{Cmd: []string{"nginx", "-g", "daemon off; master_process on;"}},
			Labels:       map[string]string{"com.example.tier-name": "<front>", "evil": "\x1b]0;x\x07\n{\"fake\":1}"},
			Mounts:       []record.Mount{{Type: record.Bind, Source: "/home/me/a-long-path"}, {Type: record.Volume, Source: "data"}, {Type: record.Tmpfs}},
			ExposedPorts: []string{"443/tcp", "80/tcp", "81/tcp", "53/udp"},
		}, State: record.State{Status: record.Running, Started: now.Add(-3 * time.Minute), Health: &record.Health{Status: record.Healthy}}}),
		rows.row(record.Entry{
			ID: id, Spec: record.Spec{Name: "gone", Image: "debian", ImageID: strings.Repeat("bc", 32), Created: now.Add(-49 * time.Hour)},
			State: record.State{Status: record.Exited, ExitCode: 137, Finished: now.Add(-2 * time.Hour)},
		}),
		rows.row(record.Entry{ID: id, Spec: record.Spec{ID: id, Name: "broken"}, State: record.State{Status: record.Dead}, Err: errors.New("damaged")}),
	}
}

func TestPsFormats(t *testing.T) {
	var all strings.Builder
	for _, text := range []string{
		"", "table", psColumns + `\t{{.Size}}`, "{{.HealthStatus}} {{.Platform}}", `table {{.Names}}\t{{.Label "com.example.tier-name"}}\t{{.Mounts}}`, "json", `{{.ID}}\t{{upper .Names}}`,
		`{{range split .Image "i"}}[{{.}}]{{end}}`, `{{json .Labels}}`, `{{pad (truncate .State 3) 1 2}}|`, `{{.Label "evil"}}`,
	} {
		all.WriteString("--- " + text + "\n")
		if err := (format{text: text, columns: psColumns}).list(&all, psHeader(), somePs(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	all.WriteString("--- --quiet\n")
	if err := (format{text: "json", columns: psColumns, quiet: true}).list(&all, psHeader(), somePs("")); err != nil {
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
	if err := (format{text: "{{.ID}} {{.Nope}}", columns: psColumns}).list(&out, psHeader(), somePs("")); err == nil || out.Len() > 0 {
		t.Errorf("unknown field: %v, printed %q", err, out.String())
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
