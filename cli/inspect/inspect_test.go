package inspect

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"rootlet/fuseoverlay"
	"rootlet/internal/testenv"
	"rootlet/sandbox/record"
	"rootlet/slirp"
)

// moment is when all that tests inspect was made.
var moment = time.Date(2026, 11, 20, 12, 0, 0, 5000, time.UTC)

// everything is a container with all that one can have.
func everything() (record.Entry, Sources) {
	id := strings.Repeat("0123456789abcdef", 4)
	timeout, written := 3, int64(2)
	e := record.Entry{
		ID: id,
		Spec: record.Spec{
			ID: id, Name: "web", Created: moment, Image: "nginx", ImageID: strings.Repeat("ab", 32),
			Process: record.Process{
				Entrypoint: []string{"/entry"}, Cmd: []string{"nginx", "-g", "<off>"}, Env: []string{"A=1"}, WorkingDir: "/srv",
				User: "www", GroupAdd: []string{"team"}, TTY: true,
			},
			Mounts: []record.Mount{
				{Type: record.Bind, Source: "/srv/www", Target: "/www", ReadOnly: true, Recursive: true},
				{Type: record.Volume, Source: "data", Target: "/data", NoCopy: true},
				{Type: record.Volume, Source: strings.Repeat("9", 64), Target: "/cache", Anonymous: true},
				{Type: record.Tmpfs, Target: "/run", NoExec: true, Size: 1 << 20, Mode: 0o755},
			},
			Hostname: "web", Network: slirp.Slirp4netns, DNS: []string{"9.9.9.9"}, DNSSearch: []string{"example.com"}, ExtraHosts: []string{"db:10.0.0.1"},
			ReadOnly: true, UserNS: record.UserNS{Mode: record.KeepID}, NoNewPrivileges: true, Seccomp: record.Seccomp{Profile: "/home/me/strict.json", JSON: []byte("{}")}, CapAdd: []string{"NET_RAW"}, CapDrop: []string{"ALL"},
			Devices: []record.Device{{Source: "/dev/fuse", Target: "/dev/fuse"}}, Ulimits: []record.Ulimit{{Name: "nofile", Soft: 10, Hard: 20}},
			ShmSize: 64 << 20, Labels: map[string]string{"tier": "front"}, StopSignal: "SIGQUIT", StopTimeout: &timeout, Init: true, Interactive: true,
			Restart: record.Restart{Policy: record.RestartOnFailure, Retries: 4},
			Health:  &record.HealthCheck{Test: []string{"CMD-SHELL", "true"}, Interval: time.Second, Retries: 2},
			Log:     record.Log{Options: map[string]string{"max-size": "1m"}}, OOMScoreAdj: 100, ExposedPorts: []string{"80/tcp"},
			Platform: "linux/amd64", VolumesFrom: []string{"other"},
		},
		State: record.State{
			Status: record.Running, PID: 4711, Started: moment.Add(time.Second), Restarts: 1,
			Health: &record.Health{Status: record.Healthy, FailingStreak: 0, Log: []record.Probe{{Start: moment, End: moment, Output: "fine"}}},
		},
	}
	from := Sources{
		Dir: "/home/me/containers/" + id[:4], Driver: GraphDriver{Name: "native", Data: map[string]string{"UpperDir": "/home/me/upper"}},
		Mountpoint: func(name string) string { return "/home/me/volumes/" + name[:4] }, Written: &written, ImageSize: 1000,
		Masked: []string{"/proc/kcore"}, ReadOnly: []string{"/proc/sys"},
	}
	return e, from
}

// someImage is an image with all that one can have.
func someImage(t *testing.T) Image {
	t.Helper()
	config := `{"created":"2026-01-02T03:04:05Z","author":"me","architecture":"arm64","variant":"v8","os":"linux","os.version":"1",
		"config":{"User":"www","ExposedPorts":{"80/tcp":{}},"Env":["A=1"],"Entrypoint":["/e"],"Cmd":["c"],"Volumes":{"/v":{}},"WorkingDir":"/w",
		"Labels":{"a":"b"},"StopSignal":"SIGQUIT","Healthcheck":{"Test":["NONE"],"StartInterval":5},"OnBuild":["RUN x"],"Shell":["sh"]},
		"rootfs":{"type":"layers","diff_ids":["sha256:1","sha256:2"]},"history":[{"comment":"first"},{"comment":"last"}]}`
	i := &fuseoverlay.Image{
		ID: "ab", Names: []string{"docker.io/library/nginx:1", "docker.io/library/nginx:latest", "docker.io/library/nginx@sha256:ff"}, Digest: "sha256:ff",
		Config: []byte(config), Manifest: []byte(`{"mediaType":"application/vnd.oci.image.manifest.v1+json"}`), Created: moment, Size: 7,
	}
	image, err := ImageOf(i, []string{"/two", "/one", "/zero"}, func(name string) (string, string) {
		_, tag, _ := strings.Cut(name, ":")
		return "nginx", tag
	})
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func TestGolden(t *testing.T) {
	plain, from := everything()
	plain.Spec = record.Spec{Name: "plain", Created: moment, Network: slirp.None, Process: record.Process{Cmd: []string{"sh"}}}
	plain.State = record.State{Status: record.Exited, ExitCode: 137, Error: "monitor lost"}
	from.Written = nil
	full, sources := everything()
	for name, object := range map[string]any{
		"container": ContainerOf(full, sources),
		"plain":     ContainerOf(plain, from),
		"image":     someImage(t),
		"network":   NetworkOf(slirp.Slirp4netns, []record.Entry{full, plain}),
		"none":      NetworkOf(slirp.None, []record.Entry{full, plain}),
	} {
		testenv.Golden(t, name+".golden", indented(t, object))
	}
}

func indented(t *testing.T, object any) string {
	t.Helper()
	text, err := json.MarshalIndent(object, "", "    ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + "\n"
}

// The keys that scripts may rely on, as docker inspect has them, in its order.
const (
	stateKeys = "Status Running Paused Restarting OOMKilled Dead Pid ExitCode Error StartedAt FinishedAt Health"

	containerKeys = "Id Created Path Args State Image ResolvConfPath HostnamePath HostsPath LogPath Name RestartCount Driver Platform MountLabel ProcessLabel " +
		"AppArmorProfile ExecIDs HostConfig GraphDriver SizeRw SizeRootFs Mounts Config NetworkSettings"

	configKeys = "Hostname Domainname User AttachStdin AttachStdout AttachStderr ExposedPorts Tty OpenStdin StdinOnce Env Cmd Healthcheck Image Volumes " +
		"WorkingDir Entrypoint OnBuild Labels StopSignal StopTimeout Shell"

	hostConfigKeys = "Binds ContainerIDFile LogConfig NetworkMode PortBindings RestartPolicy AutoRemove VolumeDriver VolumesFrom ConsoleSize Annotations " +
		"CapAdd CapDrop CgroupnsMode Dns DnsOptions DnsSearch ExtraHosts GroupAdd IpcMode Cgroup Links OomScoreAdj PidMode Privileged PublishAllPorts " +
		"ReadonlyRootfs SecurityOpt StorageOpt Tmpfs UTSMode UsernsMode ShmSize Sysctls Runtime Isolation CpuShares Memory NanoCpus CgroupParent BlkioWeight " +
		"BlkioWeightDevice BlkioDeviceReadBps BlkioDeviceWriteBps BlkioDeviceReadIOps BlkioDeviceWriteIOps CpuPeriod CpuQuota CpuRealtimePeriod " +
		"CpuRealtimeRuntime CpusetCpus CpusetMems Devices DeviceCgroupRules DeviceRequests MemoryReservation MemorySwap MemorySwappiness OomKillDisable " +
		"PidsLimit Ulimits Mounts MaskedPaths ReadonlyPaths Init"

	networkSettingsKeys = "SandboxID SandboxKey Ports Networks Gateway GlobalIPv6Address GlobalIPv6PrefixLen IPAddress IPPrefixLen IPv6Gateway MacAddress"

	endpointKeys = "IPAMConfig Links Aliases DriverOpts GwPriority NetworkID EndpointID Gateway IPAddress MacAddress IPPrefixLen IPv6Gateway " +
		"GlobalIPv6Address GlobalIPv6PrefixLen DNSNames"

	imageKeys = "Id RepoTags RepoDigests Comment Created Author Config Architecture Variant Os OsVersion Size GraphDriver RootFS Metadata Descriptor Manifests Identity"

	networkKeys = "Name Id Created Scope Driver EnableIPv4 EnableIPv6 IPAM Internal Attachable Ingress ConfigFrom ConfigOnly Options Labels Containers"
)

func TestKeys(t *testing.T) {
	e, from := everything()
	container := indented(t, ContainerOf(e, from))
	network := indented(t, NetworkOf(slirp.Slirp4netns, nil))
	for _, test := range []struct{ in, path, want string }{
		{container, "", containerKeys},
		{container, "State", stateKeys},
		{container, "State.Health", "Status FailingStreak Log"},
		{container, "State.Health.Log.0", "Start End ExitCode Output"},
		{container, "Config", configKeys},
		{container, "HostConfig", hostConfigKeys},
		{container, "HostConfig.LogConfig", "Type Config"},
		{container, "HostConfig.RestartPolicy", "Name MaximumRetryCount"},
		{container, "GraphDriver", "Name Data"},
		{container, "Mounts.0", "Type Source Destination Mode RW Propagation"},
		{container, "Mounts.1", "Type Name Source Destination Driver Mode RW Propagation"},
		{container, "NetworkSettings", networkSettingsKeys},
		{container, "NetworkSettings.Networks." + slirp.Slirp4netns, endpointKeys},
		{indented(t, someImage(t)), "", imageKeys},
		{indented(t, someImage(t)), "RootFS", "Type Layers"},
		{network, "", networkKeys},
		{network, "IPAM", "Driver Options Config"},
		{network, "IPAM.Config.0", "Subnet IPRange Gateway"},
	} {
		if got := strings.Join(keys(t, test.in, test.path), " "); got != test.want {
			t.Errorf("%s: %s, want %s", test.path, got, test.want)
		}
	}
}

// keys are those of the object at a path, in their order.
func keys(t *testing.T, text, path string) []string {
	t.Helper()
	object := json.RawMessage(text)
	for step := range strings.FieldsFuncSeq(path, func(r rune) bool { return r == '.' }) {
		if step == "0" || step == "1" {
			var list []json.RawMessage
			if err := json.Unmarshal(object, &list); err != nil {
				t.Fatal(path, err)
			}
			object = list[step[0]-'0']
			continue
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(object, &fields); err != nil {
			t.Fatal(path, err)
		}
		object = fields[step]
	}
	d := json.NewDecoder(bytes.NewReader(object))
	if _, err := d.Token(); err != nil {
		t.Fatal(path, err)
	}
	var found []string
	for d.More() {
		key, err := d.Token()
		if err != nil {
			t.Fatal(path, err)
		}
		found = append(found, key.(string))
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			t.Fatal(path, err)
		}
	}
	return found
}

func TestImageOfAHostileConfig(t *testing.T) {
	for _, config := range []string{"", "[]", `{"config":{"Env":"x"}}`, `{"created":"yesterday"}`} {
		if _, err := ImageOf(&fuseoverlay.Image{Config: []byte(config)}, nil, nil); err == nil {
			t.Errorf("%s: no error", config)
		}
	}
	if _, err := ImageOf(&fuseoverlay.Image{Config: []byte(`{"config":null,"history":null}`), Manifest: []byte("{")}, nil, nil); err != nil {
		t.Error(err)
	}
}

func TestFindNetwork(t *testing.T) {
	for given, want := range map[string]string{
		"host": slirp.Host, "none": slirp.None, "slirp4netns": slirp.Slirp4netns, "pasta": slirp.Pasta, networkID(slirp.None): slirp.None, networkID(slirp.Slirp4netns)[:8]: slirp.Slirp4netns, "bridge": "", "": "",
	} {
		if got, found := FindNetwork(given); got != want || found != (want != "") {
			t.Errorf("%s: %q %v", given, got, found)
		}
	}
}

func FuzzImageOf(f *testing.F) {
	f.Add([]byte(`{"config":{"Env":["A=1"],"Healthcheck":{"Interval":1}},"rootfs":{"diff_ids":["sha256:1"]},"history":[{}]}`), []byte(`{"mediaType":"x"}`))
	f.Fuzz(func(t *testing.T, config, manifest []byte) {
		image, err := ImageOf(&fuseoverlay.Image{ID: "ab", Config: config, Manifest: manifest}, nil, nil)
		if err != nil {
			return
		}
		if _, err := json.Marshal(image); err != nil {
			t.Error(err)
		}
	})
}
