package cli

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"rootlet/fuseoverlay"
	"rootlet/internal/testenv"
	"rootlet/sandbox"
	"rootlet/userns"
)

func TestInfoText(t *testing.T) {
	known := knownInfo()
	best := hostInfo{
		ServerVersion: "1", Containers: 4, ContainersRunning: 1, ContainersPaused: 1, ContainersStopped: 2, Images: 4, Driver: "native",
		KernelVersion: "6.1.0", OperatingSystem: "Debian GNU/Linux 12", OSType: "linux", Architecture: "x86_64", NCPU: 2, MemTotal: 8 << 30,
		Name: "box", DockerRootDir: "/home/me/.local/share/rootlet", RuntimeDir: "/run/user/1000/rootlet",
		LoggingDriver: known.LoggingDriver, Plugins: known.Plugins, RegistryConfig: known.RegistryConfig, IndexServerAddress: known.IndexServerAddress,
		DefaultRuntime: known.DefaultRuntime, Swarm: known.Swarm, LiveRestoreEnabled: true, SecurityOptions: known.SecurityOptions, ClientInfo: known.ClientInfo,
		CgroupDriver: "systemd", CgroupVersion: "2",
		Limits:         limitsInfo{By: "cgroup v2, in a scope of systemd's", Controllers: []string{"cpu", "memory", "pids"}},
		IDs:            idInfo{Method: userns.NewIDMap, UIDs: []userns.Extent{{HostID: 1000, Size: 1}, {ContainerID: 1, HostID: 100000, Size: 65536}}, GIDs: []userns.Extent{{HostID: 1000, Size: 1}}},
		Network:        networkInfo{Driver: "slirp4netns", Path: "/usr/bin/slirp4netns", Version: "1.2.0"},
		UserNamespaces: usernsInfo{Allowed: true, Limits: []limit{{"user.max_user_namespaces", "63432"}}},
	}
	best.SettingFiles = settingFiles{Config: "/home/me/.config/rootlet/config.toml", Registries: []string{"/etc/containers/registries.conf", "/etc/containers/registries.conf.d/a.conf"}}
	best.RegistryConfig.Mirrors = []string{"https://m.example/"}
	best.RegistryConfig.IndexConfigs = map[string]indexConfig{
		"docker.io":    {Name: "docker.io", Secure: true, Official: true, Mirrors: []string{"https://m.example/"}},
		"quay.io":      {Name: "quay.io", Mirrors: []string{"http://q.example/"}},
		"evil.example": {Name: "evil.example", Secure: true, Blocked: true},
	}
	best.addSeccomp([]string{"kill_process", "errno", "allow"})
	best.addLandlock(7, nil)
	poor := best
	poor.addLandlock(0, errors.New("the kernel's lsm= at boot does not name landlock"))
	poor.SeccompActions, poor.SecurityOptions = nil, known.SecurityOptions
	poor.SettingFiles, poor.RegistryConfig = settingFiles{}, known.RegistryConfig
	poor.CgroupDriver, poor.Limits = "none", limitsInfo{Why: "cgroup.procs: permission denied"}
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

func TestInfoCountsContainers(t *testing.T) {
	root, _ := somePeople(t)
	var i hostInfo
	paths := sandbox.Paths{Data: string(root)}
	i.addContainers(paths)
	i.addImages(paths)
	if i.Containers != 5 || i.ContainersRunning != 2 || i.ContainersPaused != 1 || i.ContainersStopped != 2 || i.Images != 3 || len(i.Warnings) > 0 {
		t.Errorf("%+v", i)
	}
}

// What scripts ask docker info for.
func TestInfoHasDockersFields(t *testing.T) {
	for _, field := range strings.Fields("ServerVersion Driver DriverStatus Containers ContainersRunning ContainersPaused ContainersStopped Images NCPU MemTotal " +
		"KernelVersion OperatingSystem OSType Architecture DockerRootDir SecurityOptions LoggingDriver CgroupDriver CgroupVersion Name Plugins.Volume " +
		"RegistryConfig.InsecureRegistryCIDRs RegistryConfig.Mirrors IndexServerAddress Swarm.LocalNodeState DefaultRuntime LiveRestoreEnabled " +
		"ClientInfo.Version ClientInfo.Debug Warnings Labels ExperimentalBuild") {
		if err := printFormatted(new(strings.Builder), "{{."+field+"}}", knownInfo()); err != nil {
			t.Error(err)
		}
	}
}

func TestVersionFormats(t *testing.T) {
	for format, want := range map[string]string{
		"":                    "Client: rootlet\n Version:           " + version + "\n Go version:        go",
		"{{.Server.Version}}": version + "\n",
		"{{.Client.Os}}":      "linux\n",
		"{{.Version}}":        version + "\n",
		"{{.Client.Version}} {{.Server.Version}}": version + " " + version + "\n",
		"json": `{"Client":{"Version":"` + version,
	} {
		args := []string{"version"}
		if format != "" {
			args = append(args, "--format", format)
		}
		if code, stdout, stderr := do(t, args...); code != 0 || !strings.HasPrefix(stdout, want) {
			t.Errorf("%q: exit code %d, %q, %q", format, code, stdout, stderr)
		}
	}
	if code, stdout, _ := do(t, "--version"); code != 0 || stdout != "rootlet version "+version+", build "+commit+"\n" {
		t.Errorf("--version: exit code %d, %q", code, stdout)
	}
	if code, _, stderr := do(t, "version", "--format", "{{.Nope}}"); code != 1 || !strings.HasPrefix(stderr, "rootlet: error: --format: ") {
		t.Errorf("unknown field: exit code %d, %q", code, stderr)
	}
}
