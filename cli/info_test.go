package cli

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"rootlet/fuseoverlay"
	"rootlet/internal/testenv"
	"rootlet/userns"
)

func TestInfoText(t *testing.T) {
	best := hostInfo{
		ServerVersion: "1", Containers: 3, ContainersRunning: 1, ContainersStopped: 2, Images: 4, Driver: "native",
		KernelVersion: "6.1.0", OperatingSystem: "Debian GNU/Linux 12", OSType: "linux", Architecture: "x86_64", NCPU: 2, MemTotal: 8 << 30,
		Name: "box", DockerRootDir: "/home/me/.local/share/rootlet", RuntimeDir: "/run/user/1000/rootlet",
		IDs:            idInfo{Method: userns.NewIDMap, UIDs: []userns.Extent{{HostID: 1000, Size: 1}, {ContainerID: 1, HostID: 100000, Size: 65536}}, GIDs: []userns.Extent{{HostID: 1000, Size: 1}}},
		Network:        networkInfo{Driver: "slirp4netns", Path: "/usr/bin/slirp4netns", Version: "1.2.0"},
		UserNamespaces: usernsInfo{Allowed: true, Limits: []limit{{"user.max_user_namespaces", "63432"}}},
	}
	poor := best
	poor.Driver, poor.DriverForced = "copy", true
	poor.DriversRuledOut = []fuseoverlay.RuledOut{{Driver: "native", Why: "mount: operation not\npermitted"}}
	poor.IDs = idInfo{Method: userns.OneID, UIDs: []userns.Extent{{HostID: 1000, Size: 1}}, Why: "no ranges", Fix: []string{"usermod ...", "or this"}}
	poor.Network = networkInfo{Driver: "none", Why: "slirp4netns is not installed", Fix: "apt-get install slirp4netns"}
	poor.Warnings = []string{"a range is shared"}
	forbidden := poor
	forbidden.Driver, forbidden.IDs = "", idInfo{}
	forbidden.UserNamespaces = usernsInfo{Setting: "user.max_user_namespaces", Value: "0", Fix: "sysctl -w ...", Error: "forbidden", Limits: []limit{{"user.max_user_namespaces", "0"}}}
	var all strings.Builder
	for _, i := range []hostInfo{best, poor, forbidden} {
		if err := i.print(&all); err != nil {
			t.Fatal(err)
		}
		all.WriteString("---\n")
	}
	testenv.Golden(t, "info.golden", strings.ReplaceAll(all.String(), runtime.Version(), "GO"))
}

func TestHostFacts(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"etc/os-release":                     "NAME=Debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n",
		"proc/meminfo":                       "MemTotal:        2048 kB\nMemFree: 1 kB\n",
		"proc/sys/user/max_user_namespaces":  "0\n",
		"proc/sys/kernel/unprivileged_other": "1\n",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var i hostInfo
	i.addHost(root)
	if i.OperatingSystem != "Debian GNU/Linux 12 (bookworm)" || i.MemTotal != 2048*1024 {
		t.Errorf("%q, %d", i.OperatingSystem, i.MemTotal)
	}
	if l := i.UserNamespaces.Limits; len(l) != 1 || l[0] != (limit{"user.max_user_namespaces", "0"}) {
		t.Errorf("limits: %v", l)
	}
	var bare hostInfo
	bare.addHost(t.TempDir())
	if bare.OperatingSystem != "Linux" || bare.MemTotal != 0 || bare.KernelVersion == "" || bare.NCPU < 1 {
		t.Errorf("bare: %+v", bare)
	}
}

func TestVersionFormats(t *testing.T) {
	for format, want := range map[string]string{
		"":                    "rootlet " + version + "\n commit " + commit,
		"{{.Server.Version}}": version + "\n",
		"{{.Client.Os}}":      "linux\n",
		"{{.Version}}":        version + "\n",
		"json":                `{"Version":"` + version,
	} {
		args := []string{"version"}
		if format != "" {
			args = append(args, "--format", format)
		}
		if code, stdout, stderr := do(t, args...); code != 0 || !strings.HasPrefix(stdout, want) {
			t.Errorf("%q: exit code %d, %q, %q", format, code, stdout, stderr)
		}
	}
	if code, _, stderr := do(t, "version", "--format", "{{.Nope}}"); code != 1 || !strings.HasPrefix(stderr, "rootlet: error: --format: ") {
		t.Errorf("unknown field: exit code %d, %q", code, stderr)
	}
}
