package rootfs

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rootlet/sandbox/record"
)

var update = flag.Bool("update", false, "write the golden files anew")

func config(s *record.Spec) Config {
	same := func(id int) (int, bool) { return id, id <= 65536 }
	return Config{
		Spec:       s,
		Generated:  map[string]string{"/etc/hosts": "/c/hosts", "/etc/hostname": "/c/hostname", "/etc/resolv.conf": "/c/resolv.conf"},
		VolumePath: func(name string) string { return "/volumes/" + name + "/_data" },
		UID:        same, GID: same,
	}
}

func printed(t *testing.T, c Config) string {
	t.Helper()
	plan, err := Plan(c)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, op := range plan {
		b.WriteString(op.String() + "\n")
	}
	return b.String()
}

func golden(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("%s differs (-update writes it):\n%s", name, text)
	}
}

func TestPlan(t *testing.T) {
	golden(t, "plan.golden", printed(t, config(&record.Spec{ShmSize: 64 << 20})))
}

func TestPlanWithMounts(t *testing.T) {
	c := config(&record.Spec{
		ShmSize: 1 << 20, ReadOnly: true, NoNewPrivileges: true,
		Mounts: []record.Mount{
			{Type: record.Bind, Source: "/h/inner", Target: "/data/inner", ReadOnly: true, Recursive: true},
			{Type: record.Bind, Source: "/h", Target: "/data/", Recursive: true, MakeSource: true, Propagation: "rslave"},
			{Type: record.Volume, Source: "vol", Target: "/vol", NoExec: true},
			{Type: record.Tmpfs, Target: "/run", Size: 1024, Mode: 0o755, NoExec: true},
			{Type: record.Bind, Source: "/h/hosts", Target: "/etc/hosts"},
		},
		Devices: []record.Device{{Source: "/dev/fuse", Target: "/dev/fuse"}},
	})
	c.HostNetwork = true
	golden(t, "plan-mounts.golden", printed(t, c))
}

func TestPlanRefusesTheRuntimesOwnPlaces(t *testing.T) {
	for _, target := range []string{"/", "/proc", "/proc/self", "/proc/../proc/sys", "/sys", "/sys/fs/cgroup", "/dev", "/dev/pts/", "/dev/mqueue/x"} {
		c := config(&record.Spec{Mounts: []record.Mount{{Type: record.Tmpfs, Target: target}}})
		if plan, err := Plan(c); err == nil {
			t.Errorf("%s: planned %v", target, plan)
		}
	}
}

func TestOneIDHasNoTerminalGroup(t *testing.T) {
	c := config(&record.Spec{ShmSize: 1})
	c.GID = func(id int) (int, bool) { return 0, id == 0 }
	if text := printed(t, c); strings.Contains(text, "newinstance") && strings.Contains(text, "gid=5") {
		t.Errorf("devpts names an unmapped group:\n%s", text)
	}
}
