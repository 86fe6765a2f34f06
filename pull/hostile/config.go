package hostile

import (
	"strings"

	"rootlet/pull/registrytest"
)

// environments are configurations that ask for the host's variables.
func environments() []Case {
	env := func(values ...any) func(*Scene, string) { return configured(map[string]any{"Env": values}) }
	show := shell("env; echo ran")
	return of(15,
		Case{Name: "bare-names", What: "SECRET, *, S*, =x: no value of the host's", Serve: env("SECRET", "*", "S*", "=x"), Run: show, Shows: "ran", Hides: "canary|SECRET"},
		Case{Name: "empty", Serve: env("", "A=b"), Run: show, Shows: "A=b"},
		Case{Name: "references", What: "$SECRET and ${SECRET} stay as they are", Serve: env("A=$SECRET", "B=${SECRET}"), Run: show, Shows: "ran", Hides: "canary"},
		Case{Name: "zero-byte", Serve: env("A=b\x00SECRET=c"), Run: show, Shows: "ran", Hides: "SECRET=c"},
		Case{Name: "two-megabytes", What: "more than execve takes", Serve: env("A=" + strings.Repeat("x", 2<<20)), Run: show, Refused: "too long"},
		Case{Name: "loader", What: "LD_PRELOAD and LD_LIBRARY_PATH are the container's only", Serve: env("LD_PRELOAD=/x.so", "LD_LIBRARY_PATH=/x", "GODEBUG=http2debug=2", "GOTRACEBACK=crash"), Run: show, Shows: "LD_PRELOAD=/x.so"},
		Case{Name: "rootlet-settings", What: "variables that rootlet reads are not read from images", Serve: env("ROOTLET_FAILPOINT=all", "XDG_DATA_HOME=/x", "HTTPS_PROXY=http://127.0.0.1:1", "REGISTRY_AUTH_FILE=/x"), Run: show, Shows: "ran"},
		Case{Name: "numbers", Serve: env(1, 2), Run: show, Refused: "(?i)config"},
		Case{Name: "path-outside", What: "PATH through open descriptors finds nothing", Serve: env("PATH=/proc/self/fd/7:/proc/self/cwd"), Run: show, Refused: "sh"},
	)
}

// injections are texts that would mean more where they end up.
func injections() []Case {
	with := func(key string, value any) func(*Scene, string) { return configured(map[string]any{key: value}) }
	hosts := shell("cat /etc/hosts /etc/hostname; hostname")
	ran := shell("echo ran")
	return of(16,
		Case{Name: "hostname", What: "an image's host name is nobody's", Serve: with("Hostname", "a\n1.2.3.4 github.com"), Run: hosts, Shows: "localhost", Hides: "github"},
		Case{Name: "domainname", Serve: with("Domainname", "a\n1.2.3.4 github.com"), Run: hosts, Shows: "localhost", Hides: "github"},
		Case{Name: "stopsignal-word", What: "is none: SIGTERM is", Serve: with("StopSignal", "SIGKILL\nSIGTERM"), Run: ran, Shows: "ran"},
		Case{Name: "stopsignal-number", Serve: with("StopSignal", "99999"), Run: ran, Shows: "ran"},
		Case{Name: "port-junk", Serve: with("ExposedPorts", map[string]any{"../../x": map[string]any{}}), Run: ran, Shows: "ran"},
		Case{Name: "port-99999", Serve: with("ExposedPorts", map[string]any{"99999/tcp": map[string]any{}}), Run: ran, Shows: "ran"},
		Case{Name: "port-newline", Serve: with("ExposedPorts", map[string]any{"80/tcp\n81/tcp": map[string]any{}}), Run: ran, Shows: "ran"},
		Case{Name: "healthcheck-negative", Serve: with("Healthcheck", map[string]any{"Test": []string{"CMD", "true"}, "Interval": -1, "Timeout": -1}), Run: ran, Shows: "ran"},
		Case{Name: "healthcheck-empty", Serve: with("Healthcheck", map[string]any{"Test": []string{}}), Run: ran, Shows: "ran"},
		Case{Name: "healthcheck-word", What: "a kind of check that there is not", Serve: with("Healthcheck", map[string]any{"Test": []string{"HOST-SHELL", "touch /tmp/x"}}), Run: ran, Shows: "ran"},
		Case{Name: "workdir-descriptor", What: "/proc/self/fd/7 (CVE-2024-21626)", Serve: with("WorkingDir", "/proc/self/fd/7"), Run: shell("pwd"), Refused: "/proc/self/fd/7"},
		Case{Name: "workdir-dotdot", Serve: with("WorkingDir", "/"+up+"VICTIM"), Run: shell("pwd; ls -A | wc -l"), Shows: `(?m)^0$`},
		Case{Name: "workdir-symlink", Serve: configured(map[string]any{"WorkingDir": "/w/new"}, symlink("w", "VICTIM")), Run: shell("ls -A; pwd"), Shows: "new"},
		Case{Name: "workdir-zero-byte", Serve: with("WorkingDir", "/a\x00b"), Run: ran, Refused: `/a\\x00b`},
		Case{Name: "workdir-long", Serve: with("WorkingDir", "/"+strings.Repeat("w", 5000)), Run: ran, Refused: "make /www"},
		Case{Name: "entrypoint-self", What: "#!/proc/self/exe (CVE-2019-5736) has no rootlet to execute", Serve: configured(map[string]any{"Entrypoint": []string{"/script"}}, registrytest.File{Name: "script", Body: "#!/proc/self/exe\n", Mode: 0o755}), Run: plain(), Refused: "(?s).*"},
		Case{Name: "entrypoint-empty-word", Serve: with("Entrypoint", []string{""}), Run: plain(), Refused: `(?i)empty|not found|no such|""`},
		Case{Name: "entrypoint-zero-byte", Serve: with("Entrypoint", []string{"sh\x00"}), Run: plain(), Refused: "sh"},
		Case{Name: "entrypoint-descriptor", Serve: with("Entrypoint", []string{"/proc/self/fd/5"}), Run: plain(), Refused: "/proc/self/fd/5"},
		Case{Name: "cmd-megabytes", Serve: configured(map[string]any{"Cmd": []string{"echo", strings.Repeat("x", 3<<20)}}), Run: plain(), Refused: "too long"},
		Case{Name: "volume-proc", Serve: with("Volumes", map[string]any{"/proc/self": map[string]any{}}), Run: ran, Refused: "/proc"},
		Case{Name: "volume-root", Serve: with("Volumes", map[string]any{"/": map[string]any{}}), Run: ran, Refused: "mount at /"},
		Case{Name: "volume-dotdot", Serve: with("Volumes", map[string]any{up + "x": map[string]any{}}), Run: ran, Refused: "not an absolute path"},
		Case{Name: "volume-newline", What: "is a path like others", Serve: with("Volumes", map[string]any{"/a\nb:/etc:rw": map[string]any{}}), Run: shell("ls -d /a*/etc:rw | tail -n 1; echo ran"), Shows: "ran"},
		Case{Name: "volumes-1000", Serve: with("Volumes", manyVolumes(1000)), Run: ran, Refused: "1000 volumes"},
	)
}

func manyVolumes(n int) map[string]any {
	volumes := map[string]any{}
	for i := range n {
		volumes["/v"+number(i)] = map[string]any{}
	}
	return volumes
}

// labels are those that some tool takes for a setting, or for text.
func labels() []Case {
	with := func(labels map[string]string) func(*Scene, string) {
		return configured(map[string]any{"Labels": labels})
	}
	confined := shell("ls /sys/class/net; grep CapEff /proc/self/status; ls -A /mnt")
	alone := func(c Case) Case {
		c.Run, c.Shows, c.Hides = append([]string{"--network", "none"}, confined...), "00000000800405fb", "(?m)^eth|^ffff|hello"
		return c
	}
	many := map[string]string{}
	for i := range 10_000 {
		many["label"+number(i)] = "x"
	}
	return of(17,
		alone(Case{Name: "rootlet", Serve: with(map[string]string{"rootlet.network": "host", "rootlet.privileged": "true", "rootlet.volume": "/:/mnt", "rootlet.driver": "none"})}),
		alone(Case{Name: "podman", Serve: with(map[string]string{"io.podman.annotations.privileged": "TRUE", "io.podman.annotations.seccomp": "unconfined", "io.podman.annotations.userns": "host"})}),
		alone(Case{Name: "runlabel", What: "commands that other tools would run on the host", Serve: with(map[string]string{"run": "touch VICTIM/run", "install": "touch VICTIM/run", "INSTALL": "touch VICTIM/run", "io.containers.autoupdate": "registry"})}),
		alone(Case{Name: "cri", Serve: with(map[string]string{"io.kubernetes.cri.sandbox-log-directory": "/tmp", "io.containerd.image.log-uri": "binary:///bin/touch", "com.docker.compose.project": "x"})}),
		alone(Case{Name: "escape-codes", Serve: with(map[string]string{"\x1b]0;owned\x07": "\x1b[2J\n{\"fake\":1}"})}),
		alone(Case{Name: "ten-thousand", Serve: with(many)}),
		Case{Name: "annotations", What: "of the manifest, and no label", Serve: manifest(`{"schemaVersion":2,"config":CONFIG,"layers":[LAYER],"annotations":{"rootlet.network":"host","run.oci.handler":"krun"}}`), Run: append([]string{"--network", "none"}, confined...), Shows: "00000000800405fb", Hides: "(?m)^eth"},
		Case{Name: "numbers", What: "a label that is none", Serve: configured(map[string]any{"Labels": map[string]any{"a": 1}}), Run: confined, Refused: "(?i)config"},
		Case{Name: "onbuild", What: "is not done", Serve: configured(map[string]any{"OnBuild": []string{"RUN touch VICTIM/run"}}), Run: confined, Shows: "00000000800405fb"},
	)
}
