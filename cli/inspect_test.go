package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rootlet/sandbox/record"
	"rootlet/sandbox/volume"
)

func TestInspect(t *testing.T) {
	root, ids := somePeople(t)
	if _, err := volume.In(string(root)).Create(volume.Volume{Name: "data"}, false); err != nil {
		t.Fatal(err)
	}
	keep(t, root, record.Spec{Name: "debian", Labels: map[string]string{"a": "<b>\x1b[0m"}}, record.State{Status: record.Exited})
	for _, test := range []struct {
		words, stdout, stderr string // in words, _ is a space within one
		code                  int
	}{
		{words: "inspect -f {{.Name}} web " + ids["db"][:12], stdout: "/web\n/db\n"},
		{words: "inspect -f {{.Id}} web", stdout: ids["web"] + "\n"}, // as in the JSON
		{words: "inspect -f {{.ID}} web", stdout: ids["web"] + "\n"}, // as in Docker's Go
		{words: "inspect -f {{.State.Status}}:{{.State.Health.Status}} web", stdout: "running:healthy\n"},
		{words: "inspect -f {{.HostConfig.Memory}}{{.HostConfig.CpuShares}} web", stdout: "00\n"},
		{words: "inspect -f {{(index_.NetworkSettings.Networks_`slirp4netns`).IPAddress}} web", stdout: "10.0.2.100\n"},
		{words: "container inspect -f {{json_.Config.Labels}} web", stdout: "{\"tier\":\"front\"}\n"},
		{words: "inspect -f {{json_.Config.Labels}} debian", stdout: `{"a":"<b>\u001b[0m"}` + "\n"},
		// A bare name is a container's before it is an image's, and so on.
		{words: "inspect -f {{.Name}} debian", stdout: "/debian\n"},
		{words: "inspect --type image -f {{.Id}}{{.RepoTags}} debian", stdout: "sha256:aa01[debian:latest]\n"},
		{words: "inspect -f {{.Os}}{{.Id}} nginx", stdout: "sha256:bb02\n"},
		{words: "image inspect -f {{.RootFS.Layers}} bb02 cc0", stdout: "[one two]\n[three]\n"},
		{words: "inspect -f {{.Name}}{{.Scope}} data none", stdout: "datalocal\nnonelocal\n"},
		{words: "volume inspect -f {{.Name}} data", stdout: "data\n"},
		{words: "network inspect -f {{range_.Containers}}{{.Name}}{{end}} host", stdout: "\n"},
		// What is found is printed, what is not is told.
		{words: "inspect -f {{.Name}} web gone db", stdout: "/web\n/db\n", stderr: "rootlet: error: no such object: gone\n", code: 1},
		{words: "inspect gone", stdout: "[]\n", stderr: "rootlet: error: no such object: gone\n", code: 1},
		{words: "container inspect gone", stdout: "[]\n", stderr: "rootlet: error: no such container: gone\n", code: 1},
		{words: "image inspect -f x gone", stdout: "\n", stderr: "rootlet: error: no such image: gone\n", code: 1},
		{words: "image inspect UPPER", stdout: "[]\n", stderr: "rootlet: error: no such image: UPPER\n", code: 1},
		{words: "inspect --type=volume web", stdout: "[]\n", stderr: "rootlet: error: get web: no such volume\n", code: 1},
		{words: "network inspect nothing", stdout: "[]\n", stderr: "rootlet: error: network nothing not found\n", code: 1},
		// What a template does not find is an error of that thing alone.
		{words: "inspect -f {{.State.Status}} web data", stdout: "running\n", stderr: "rootlet: error: --format: ", code: 1},
		{words: "inspect -f {{.State.Health.Status}} db web", stdout: "healthy\n", stderr: "rootlet: error: --format: ", code: 1},
		{words: "inspect -f {{.Nope web", stderr: "rootlet: error: --format: ", code: 64},
		{words: "inspect --type pod web", stderr: "rootlet: error: \"pod\" is not a valid value for --type", code: 1},
		{words: "inspect", stderr: "rootlet: error: ", code: 125},
	} {
		words := strings.Fields(test.words)
		for i := range words {
			words[i] = strings.ReplaceAll(words[i], "_", " ")
		}
		code, stdout, stderr := do(t, words...)
		if code != test.code || stdout != test.stdout || !strings.HasPrefix(stderr, test.stderr) || (test.stderr == "") != (stderr == "") {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q", test.words, code, stdout, stderr)
		}
	}
}

func TestInspectJSON(t *testing.T) {
	somePeople(t)
	_, indented, _ := do(t, "inspect", "web", "debian", "none")
	if !strings.HasPrefix(indented, "[\n    {\n        \"Id\": \"") || !strings.HasSuffix(indented, "\n    }\n]\n") {
		t.Errorf("not an array that is indented by four: %.60s", indented)
	}
	_, compact, _ := do(t, "inspect", "--format", "json", "web", "debian", "none")
	if strings.Count(compact, "\n") != 1 || !strings.HasPrefix(compact, `[{"Id":"`) {
		t.Errorf("not one line: %.60s", compact)
	}
	for _, text := range []string{indented, compact} {
		var list []map[string]any
		if err := json.Unmarshal([]byte(text), &list); err != nil || len(list) != 3 || list[2]["Name"] != "none" {
			t.Errorf("%d things, %v", len(list), err)
		}
	}
}

func TestInspectOfADamagedRecord(t *testing.T) {
	root, ids := somePeople(t)
	if err := os.WriteFile(filepath.Join(root.Dir(ids["web"]), "spec.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := do(t, "inspect", "-f", "{{.Name}}", "web", "db")
	if code != 1 || stdout != "/db\n" || !strings.Contains(stderr, "spec.json is damaged") {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
}

func TestShownLines(t *testing.T) {
	if got := shownLines("a\tb\n\x1b]0;x\x07\u202e\r\n\nend"); got != "a\tb\n"+`\x1b]0;x\a\u202e\r`+"\n\nend" {
		t.Errorf("%q", got)
	}
}
