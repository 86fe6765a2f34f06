package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rootlet/internal/testenv"
	"rootlet/sandbox/volume"
)

func TestComplete(t *testing.T) {
	root, _ := somePeople(t)
	if _, err := volume.In(string(root)).Create(volume.Volume{Name: "data"}, false); err != nil {
		t.Fatal(err)
	}
	auth := filepath.Join(t.TempDir(), "auth.json")
	if err := os.WriteFile(auth, []byte(`{"auths":{"quay.io":{},"b.example":{}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("REGISTRY_AUTH_FILE", auth)
	for words, want := range map[string]string{
		"logout q":                  "quay.io",
		"login --authfile x":        ":files",
		"inf":                       "info",
		"co re":                     "",
		"container rena":            "rename",
		"start ":                    "done made",
		"stop ":                     "flaky db web",
		"kill -s INT ":              "flaky db web",
		"pause ":                    "web",
		"unpause ":                  "db",
		"attach ":                   "db web",
		"wait m":                    "made",
		"container restart d":       "done db",
		"container ren":             "rename",
		"--ver":                     "--version",
		"help inf":                  "info",
		"frobnicate ":               "",
		"completion ":               "bash zsh fish",
		"completion bash ":          "",
		"rename --he":               "--help",
		"ps --fo":                   "--format",
		"ps --filter st":            "status= :nospace",
		"ps -af sta":                "status= :nospace",
		"ps -fstatus=x --format j":  "json",
		"ps --format=t":             "--format=table",
		"inspect --type vol":        "volume",
		"rename ":                   "done flaky db web made",
		"rename web ":               "",
		"logs d":                    "done db",
		"rm ":                       "done made",
		"rm -f ":                    "done flaky db web made",
		"rm -f web d":               "done db",
		"container rm m":            "made",
		"update --restart un":       "unless-stopped",
		"update --restart always w": "web",
		"rmi ":                      "debian:latest nginx:latest other:latest",
		"run deb":                   "debian:latest",
		"run --rm -it -e X=1 deb":   "debian:latest",
		"run -e deb":                "",
		"run --network no":          "none",
		"run --network cont":        "container:db container:web",
		"run --net=h":               "--net=host",
		"run -v d":                  "data :files",
		"run --env-file x":          ":files",
		"run debian --r":            "",
		"run --pull al":             "always",
		"run --storage-driver c":    "copy",
		"volume rm ":                "data",
		"volume create ":            "",
		"inspect d":                 "done db debian:latest data",
		"image inspect o":           "other:latest",
		"network inspect ":          "builtin host none pasta slirp4netns bridge",
		"container inspect -f x fl": "flaky",
		"cp we":                     "web: :nospace :files",
		"ps ":                       "",
	} {
		args := strings.Split(words, " ")
		code, stdout, stderr := do(t, append([]string{completeName, "--"}, args...)...)
		if got := strings.Join(strings.Fields(stdout), " "); code != 0 || stderr != "" || !sameWords(got, want) {
			t.Errorf("%q: exit code %d, %q, %q; want %q", words, code, got, stderr, want)
		}
	}
	if _, stdout, _ := do(t, completeName); !strings.Contains(stdout, "\nrename\n") || strings.Contains(stdout, "__") {
		t.Errorf("nothing typed: %q", stdout)
	}
}

// sameWords compares lists of images in any order: theirs is the order of a map.
func sameWords(a, b string) bool {
	count := map[string]int{}
	for _, w := range strings.Fields(a) {
		count[w]++
	}
	for _, w := range strings.Fields(b) {
		count[w]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}

func TestCompletionOfEveryCommandAnswers(t *testing.T) {
	emptyHome(t)
	for _, c := range commands() {
		for _, sub := range append(c.children, command{}) {
			for _, word := range []string{"", "-", "--"} {
				args := append([]string{completeName, "--"}, append(strings.Fields(c.name+" "+sub.name), word)...)
				code, stdout, stderr := do(t, args...)
				if code != 0 || stderr != "" || word == "--" && !strings.Contains(stdout, "--help") {
					t.Errorf("%q: exit code %d, %q, %q", args, code, stdout, stderr)
				}
			}
		}
	}
}

// A real bash, with a program in rootlet's place that says what it was asked.
func TestBashCompletion(t *testing.T) {
	bash := testenv.NeedProgram(t, "bash")
	dir := t.TempDir()
	fake := "#!/bin/sh\nshift 2\nfor w; do last=$w; done\ncase $last in\nde*) echo debian:latest; echo debian:12;;\n--net=*) echo --net=none;;\nst*) echo status=; echo :nospace;;\nasked) echo \"$*\";;\nesac\n"
	if err := os.WriteFile(filepath.Join(dir, "rootlet"), []byte(fake), 0o755); err != nil {
		t.Fatal(err)
	}
	_, script, _ := do(t, "completion", "bash")
	for line, want := range map[string]string{
		"rootlet run de":          "debian:latest debian:12",
		"rootlet run debian:":     "latest 12",
		"rootlet run debian:l":    "latest 12",
		"rootlet run --net=":      "none",
		"rootlet ps -f st":        "status=",
		"rootlet  ps   -a  asked": "ps -a asked",
	} {
		program := script + `
compopt() { :; }
COMP_LINE=$1; COMP_POINT=${#1}; _rootlet; echo "${COMPREPLY[@]}"`
		cmd := exec.Command(bash, "--norc", "-c", program, "bash", line)
		cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH")}
		out, err := cmd.CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", line, got, err, want)
		}
	}
}

func TestCompletionScripts(t *testing.T) {
	for shell, args := range map[string][]string{"bash": {"-n"}, "zsh": {"-n"}, "fish": {"--no-execute"}} {
		code, script, _ := do(t, "completion", shell)
		if code != 0 || !strings.Contains(script, completeName+" -- ") {
			t.Errorf("%s: exit code %d, %q", shell, code, script)
		}
		path, err := exec.LookPath(shell)
		if err != nil {
			continue // that it is read is tested where there is one
		}
		file := filepath.Join(t.TempDir(), "script")
		if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(path, append(args, file)...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", shell, err, out)
		}
	}
	if code, _, _ := do(t, "completion", "tcsh"); code != ExitEngine {
		t.Errorf("tcsh: exit code %d", code)
	}
}
