package rootfs

import (
	"strings"
	"testing"

	"rootlet/internal/testenv"
	"rootlet/sandbox/record"
)

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

func TestPlan(t *testing.T) {
	testenv.Golden(t, "plan.golden", printed(t, config(&record.Spec{ShmSize: 64 << 20})))
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
	testenv.Golden(t, "plan-mounts.golden", printed(t, c))
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

// What a sandbox writes to is memory, of which there is a bound.
func TestPlanOfASandbox(t *testing.T) {
	c := config(&record.Spec{
		Sandbox: true, ReadOnly: true, NoNewPrivileges: true, ShmSize: 64 << 20,
		Mounts: []record.Mount{{Type: record.Tmpfs, Target: "/tmp", Size: 64 << 20}},
	})
	testenv.Golden(t, "plan-sandbox.golden", printed(t, c))
}
