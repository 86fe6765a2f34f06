package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rootlet/fuseoverlay"
	"rootlet/sandbox/record"
)

// storeOf makes a store of images, as a view sees it, each of these layers.
func storeOf(t *testing.T, root record.Root, images map[string]string) fuseoverlay.View {
	t.Helper()
	dir := filepath.Join(string(root), "storage", "overlay-images")
	var list []string
	for id, text := range images {
		name, layers, _ := strings.Cut(text, " ")
		list = append(list, `{"id":"`+id+`","names":["docker.io/library/`+name+`:latest"],"created":"2026-01-01T00:00:00Z","metadata":"{\"size\":1000}"}`)
		config := `{"rootfs":{"diff_ids":["` + strings.Join(strings.Fields(layers), `","`) + `"]}}`
		if err := os.MkdirAll(filepath.Join(dir, id), 0o700); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{"config": config, "manifest": "{}"} {
			if err := os.WriteFile(filepath.Join(dir, id, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "images.json"), []byte("["+strings.Join(list, ",")+"]"), 0o600); err != nil {
		t.Fatal(err)
	}
	return fuseoverlay.View{GraphRoot: filepath.Join(string(root), "storage")}
}

// somePeople are containers in every state, the oldest first.
func somePeople(t *testing.T) (record.Root, map[string]string) {
	root := emptyHome(t)
	storeOf(t, root, map[string]string{"aa01": "debian one", "bb02": "nginx one two", "cc03": "other three"})
	ids := map[string]string{}
	began := time.Now().Add(-time.Hour)
	for i, c := range []struct {
		spec  record.Spec
		state record.State
	}{
		{record.Spec{Name: "made", Image: "debian", ImageID: "aa01", Network: "none"}, record.State{Status: record.Created}},
		{
			record.Spec{Name: "web", Image: "nginx", ImageID: "bb02", Network: "slirp4netns", ExposedPorts: []string{"80/tcp", "8443/tcp"}, Labels: map[string]string{"tier": "front"}},
			record.State{Status: record.Running, Started: began, Health: &record.Health{Status: record.Healthy}},
		},
		{
			record.Spec{Name: "db", Image: "other", ImageID: "cc03", Network: "slirp4netns", Mounts: []record.Mount{{Type: record.Volume, Source: "data", Target: "/var/lib"}}, Labels: map[string]string{"tier": "back"}},
			record.State{Status: record.Paused, Started: began},
		},
		{record.Spec{Name: "flaky", Image: "nginx", ImageID: "bb02", Network: "host"}, record.State{Status: record.Restarting, ExitCode: 1, Finished: began}},
		{
			record.Spec{Name: "done", Image: "debian", ImageID: "aa01", Network: "slirp4netns", Mounts: []record.Mount{{Type: record.Bind, Source: "/srv", Target: "/mnt"}}},
			record.State{Status: record.Exited, ExitCode: 3, Finished: began},
		},
	} {
		c.spec.Created = began.Add(time.Duration(i) * time.Minute)
		ids[c.spec.Name] = keep(t, root, c.spec, c.state)
	}
	return root, ids
}

func TestPsChooses(t *testing.T) {
	_, ids := somePeople(t)
	for words, want := range map[string]string{
		"":                                       "flaky db web",
		"-a":                                     "done flaky db web made",
		"-l":                                     "done",
		"-n 2":                                   "done flaky",
		"--last=1":                               "done",
		"-n 0":                                   "flaky db web",
		"-n 1 -f name=web":                       "web",
		"-f id=" + ids["db"][:10]:                "db",
		"-f name=^/we":                           "web",
		"-f name=la -f name=we":                  "flaky web",
		"-f name=[":                              "",
		"-a -f label=tier":                       "db web",
		"-a -f label=tier=front":                 "web",
		"-a -f label!=tier":                      "done flaky made",
		"-f label!=tier=front":                   "flaky db",
		"-a -f exited=3":                         "done",
		"-a -f exited=1":                         "",
		"-f status=exited -f status=created":     "done made",
		"-f status=paused":                       "db",
		"-f status=restarting":                   "flaky",
		"-f status=dead":                         "",
		"-f ancestor=debian":                     "flaky web",
		"-a -f ancestor=aa01":                    "done flaky web made",
		"-a -f ancestor=nginx -f ancestor=other": "flaky db web",
		"-a -f ancestor=missing":                 "",
		"-a -f before=db":                        "web made",
		"-a -f since=db":                         "done flaky",
		"-a -f since=made -f before=flaky":       "db web",
		"-a -f volume=data":                      "db",
		"-a -f volume=/mnt":                      "done",
		"-a -f network=none":                     "made",
		"-f network=slirp4netns":                 "db web",
		"-a -f publish=80":                       "",
		"-f expose=8000-9000/tcp":                "web",
		"-f expose=80/udp":                       "",
		"-f health=healthy":                      "web",
		"-f health=none -f health=unhealthy":     "flaky db",
	} {
		code, stdout, stderr := do(t, append([]string{"ps", "--format", "{{.Names}}"}, strings.Fields(words)...)...)
		if got := strings.Join(strings.Fields(stdout), " "); code != 0 || stderr != "" || got != want {
			t.Errorf("%s: exit code %d, %q, %q; want %q", words, code, got, stderr, want)
		}
	}
}

// Docker's table is unchanged where no container does without anything.
func TestPsShowsLevels(t *testing.T) {
	root, _ := somePeople(t)
	_, stdout, _ := do(t, "ps")
	if strings.Contains(stdout, "LEVEL") || strings.Contains(stdout, "full") {
		t.Errorf("a level where all is well:\n%s", stdout)
	}
	keep(t, root, record.Spec{Name: "inner", Image: "debian"}, record.State{Status: record.Running, Level: []string{record.BoundProc, record.BoundSys}})
	_, stdout, _ = do(t, "ps")
	for line := range strings.Lines(stdout) {
		want := "full"
		if strings.Contains(line, "inner") {
			want = "bound-proc,bound-sys"
		} else if strings.HasPrefix(line, "CONTAINER ID") {
			want = "LEVEL"
		}
		if fields := strings.Fields(line); fields[len(fields)-1] != want {
			t.Errorf("want %s last in %q", want, line)
		}
	}
	_, stdout, _ = do(t, "ps", "-a", "--format", "{{.Names}}={{.Level}}")
	if got := strings.Join(strings.Fields(stdout), " "); got != "inner=bound-proc,bound-sys done= flaky=full db=full web=full made=" {
		t.Error(got)
	}
}

func TestPsRefusesFilters(t *testing.T) {
	emptyHome(t)
	for _, filter := range []string{"status=up", "health=ill", "exited=x", "before=gone", "since=gone", "expose=http", "publish=9-8", "nope=1", "name"} {
		if code, stdout, stderr := do(t, "ps", "--filter", filter); code != 1 || stdout != "" || !strings.HasPrefix(stderr, "rootlet: error: ") {
			t.Errorf("%s: exit code %d, %q, %q", filter, code, stdout, stderr)
		}
	}
}

func TestPsShowsTheImageByItsIDWhereItsNameMoved(t *testing.T) {
	root, _ := somePeople(t)
	storeOf(t, root, map[string]string{"aa01": "debian one", "bb02": "old", "dd04": "nginx", "cc03": "other three"})
	_, stdout, _ := do(t, "ps", "-a", "--format", "{{.Names}}={{.Image}}")
	if got := strings.Join(strings.Fields(stdout), " "); got != "done=debian flaky=bb02 db=other web=bb02 made=debian" {
		t.Error(got)
	}
}

func TestPsShowsWhatIsDamagedBesideTheOthers(t *testing.T) {
	root, ids := somePeople(t)
	for name, file := range map[string]string{"done": "state.json", "web": "spec.json"} {
		if err := os.WriteFile(filepath.Join(root.Dir(ids[name]), file), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code, stdout, stderr := do(t, "ps", "-a", "--format", "{{.Names}} {{.Status}} {{.Image}}")
	lines := strings.Split(stdout, "\n")
	if code != ExitError || len(lines) != 6 || lines[0] != "done Dead debian" || lines[4] != "web Dead <no image>" {
		t.Errorf("exit code %d:\n%s", code, stdout)
	}
	for _, name := range []string{"done", "web"} {
		if !strings.Contains(stderr, "rootlet: error: container "+ids[name][:12]+": ") {
			t.Errorf("%s is not told: %s", name, stderr)
		}
	}
	if _, stdout, _ := do(t, "ps", "-q", "-f", "status=dead", "--no-trunc"); len(strings.Fields(stdout)) != 2 {
		t.Errorf("the dead ones: %q", stdout)
	}
}
