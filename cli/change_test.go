package cli

import (
	"strings"
	"testing"

	"rootlet/sandbox/events"
	"rootlet/sandbox/record"
)

func TestRename(t *testing.T) {
	root := emptyHome(t)
	id := keep(t, root, record.Spec{Name: "old", Image: "debian"}, record.State{Status: record.Running})
	other := keep(t, root, record.Spec{Name: "other"}, record.State{Status: record.Exited})
	for _, test := range []struct{ words, stderr string }{
		{"rename old new", ""},
		{"rename old new", "rootlet: error: no such container: old\n"},
		{"rename new other", `rootlet: error: the container name "/other" is already in use by container "` + other + `"` + "\nrootlet: hint: "},
		{"rename new new", "rootlet: error: "},
		{"rename new -bad", "rootlet: error: unknown flag"},
		{"rename new b@d", "rootlet: error: invalid container name"},
		{"container rename " + id[:8] + " /newer", ""},
	} {
		code, stdout, stderr := do(t, strings.Fields(test.words)...)
		if (code == 0) != (test.stderr == "") || stdout != "" || !strings.HasPrefix(stderr, test.stderr) {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q", test.words, code, stdout, stderr)
		}
	}
	if code, _, stderr := do(t, "rename", "newer", ""); code != 1 || !strings.Contains(stderr, "neither old nor new names may be empty") {
		t.Errorf("no name: exit code %d, %q", code, stderr)
	}
	if spec, err := root.Spec(id); err != nil || spec.Name != "newer" {
		t.Errorf("it is called %q, %v", spec.Name, err)
	}
	var renames []string
	err := events.Read(string(root), func(e events.Event) error {
		renames = append(renames, e.Action+" "+e.Attributes["oldName"]+" "+e.Attributes["name"])
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if got := strings.Join(renames, ", "); got != "rename /old new, rename /new newer" {
		t.Errorf("events: %s", got)
	}
}

func TestUpdate(t *testing.T) {
	root := emptyHome(t)
	one := keep(t, root, record.Spec{Name: "one"}, record.State{Status: record.Running})
	idle := keep(t, root, record.Spec{Name: "idle"}, record.State{Status: record.Exited})
	keep(t, root, record.Spec{Name: "brief", Remove: true}, record.State{Status: record.Running})
	for _, test := range []struct {
		words          string
		code           int
		stdout, stderr string
	}{
		{"update --restart on-failure:3 one none brief", 1, "one\n", "rootlet: error: no such container: none\nrootlet: error: cannot update container brief: restart policy cannot be updated because --rm"},
		{"update --restart no brief", 0, "brief\n", ""},
		{"update --restart sometimes one", 1, "", "rootlet: error: invalid restart policy: unknown policy"},
		{"update one", 1, "", "rootlet: error: you must provide one or more flags"},
		{"update -m 1g --restart always idle", 0, "idle\n", ""},
		{"update --cpus 0.5 --pids-limit 20 idle", 0, "idle\n", ""},
		{"update -m 1 idle", 1, "", "rootlet: error: cannot update container idle: invalid --memory: at least 6m"},
		{"update --memory-swap 512m idle", 1, "", "rootlet: error: cannot update container idle: invalid --memory-swap: must not be less"},
		{"update --cpu-quota 50000 idle", 1, "", "rootlet: error: cannot update container idle: invalid --cpus: cannot go with"},
		{"update --cpus many idle", 1, "", "rootlet: error: cannot update container idle: invalid --cpus \"many\""},
		{"update --restart always", 125, "", "rootlet: error: "},
	} {
		code, stdout, stderr := do(t, strings.Fields(test.words)...)
		if code != test.code || stdout != test.stdout || !strings.HasPrefix(stderr, test.stderr) {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q", test.words, code, stdout, stderr)
		}
	}
	if spec, err := root.Spec(one); err != nil || spec.Restart != (record.Restart{Policy: record.RestartOnFailure, Retries: 3}) {
		t.Errorf("its policy is %v, %v", spec.Restart, err)
	}
	spec, err := root.Spec(idle)
	if l := spec.Limits; err != nil || l.Memory != 1<<30 || l.NanoCPUs != 5e8 || l.Pids == nil || *l.Pids != 20 || spec.Restart.Policy != record.RestartAlways {
		t.Errorf("its limits are %+v, %v", spec.Limits, err)
	}
}

func TestPort(t *testing.T) {
	keep(t, emptyHome(t), record.Spec{Name: "web", ExposedPorts: []string{"80/tcp"}}, record.State{Status: record.Running})
	for _, test := range []struct {
		words  string
		code   int
		stderr string
	}{
		{"port web", 0, ""},
		{"port web 80", 1, "rootlet: error: no public port '80/tcp' published for web\n"},
		{"container port web 53/UDP", 1, "rootlet: error: no public port '53/udp' published for web\n"},
		{"port web 80/http", 1, `rootlet: error: invalid port "80/http"`},
		{"port web 65536", 1, `rootlet: error: invalid port "65536"`},
		{"port gone", 1, "rootlet: error: no such container: gone\n"},
	} {
		code, stdout, stderr := do(t, strings.Fields(test.words)...)
		if code != test.code || stdout != "" || !strings.HasPrefix(stderr, test.stderr) {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q", test.words, code, stdout, stderr)
		}
	}
}
