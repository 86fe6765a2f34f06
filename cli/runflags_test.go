package cli

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rootlet/sandbox"
	"rootlet/sandbox/record"
)

func TestParseDevice(t *testing.T) {
	for text, want := range map[string]record.Device{
		"/dev/a":            {Source: "/dev/a", Target: "/dev/a"},
		"/dev/a:rwm":        {Source: "/dev/a", Target: "/dev/a"},
		"/dev/a:r":          {Source: "/dev/a", Target: "/dev/a"},
		"/dev/a:/dev/b":     {Source: "/dev/a", Target: "/dev/b"},
		"/dev/a:/dev/b:rw":  {Source: "/dev/a", Target: "/dev/b"},
		"/dev/../dev/a:/b/": {Source: "/dev/a", Target: "/b"},
	} {
		if got, err := parseDevice(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "a", "/dev/a:", "/dev/a:b", "/dev/a:x", "/dev/a:/dev/b:", "/dev/a:/dev/b:x", "/dev/a:/b:/c:r", "rwm"} {
		if got, err := parseDevice(text); err == nil {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

// requested is the request of a run command line.
func requested(t *testing.T, flags runFlags) (sandbox.Request, error) {
	t.Helper()
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_DATA_HOME", "")
	t.Setenv("XDG_RUNTIME_DIR", "")
	if flags.ShmSize == "" {
		flags.ShmSize = "64m"
	}
	c := newContainer{runFlags: flags, Image: "debian", Command: []string{"sh"}}
	return c.request(&app{stdin: os.Stdin, printer: &printer{}})
}

func TestRequest(t *testing.T) {
	t.Setenv("HERE", "yes")
	entrypoint := "/init"
	file := filepath.Join(t.TempDir(), "env")
	if err := os.WriteFile(file, []byte("A=file\nB=file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := requested(t, runFlags{
		Name: "/web", Env: []string{"A=1", "HERE"}, EnvFile: []string{file}, Label: []string{"a=b=c", "d", "a=e"},
		Entrypoint: &entrypoint, Ulimit: []string{"nofile=10:20"}, SecurityOpt: []string{"no-new-privileges"},
		ShmSize: "1g", UserNS: "keep-id", Device: []string{"/dev/null"},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := r.Spec
	if s.Name != "web" || r.ImageName != "docker.io/library/debian:latest" || s.UserNS.Mode != record.KeepID || !s.NoNewPrivileges || s.ShmSize != 1<<30 {
		t.Errorf("%+v", s)
	}
	if got := strings.Join(s.Process.Env, " "); got != "A=file B=file A=1 HERE=yes" {
		t.Errorf("env: %s", got)
	}
	if want := map[string]string{"a": "e", "d": ""}; !maps.Equal(s.Labels, want) {
		t.Errorf("labels: %v", s.Labels)
	}
	if !r.EntrypointSet || len(s.Process.Entrypoint) != 1 || len(s.Ulimits) != 1 || len(s.Devices) != 1 {
		t.Errorf("%+v %+v", r.EntrypointSet, s)
	}
	if r, err = requested(t, runFlags{Platform: "linux/aarch64"}); err != nil || r.Platform == nil || r.Platform.Architecture != "arm64" {
		t.Errorf("platform: %+v, %v", r.Platform, err)
	}
	empty := ""
	if r, err = requested(t, runFlags{Entrypoint: &empty}); err != nil || !r.EntrypointSet || len(r.Spec.Process.Entrypoint) != 0 {
		t.Errorf("empty entrypoint: %+v, %v", r.Spec.Process, err)
	}
}

func TestSecurityOptions(t *testing.T) {
	t.Chdir(t.TempDir())
	const text = "{\"defaultAction\": \"SCMP_ACT_ALLOW\"}\n"
	if err := os.WriteFile("mine.json", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("bad.json", []byte("{\n\"defaultAction\": \"ALLOW\"}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for given, want := range map[string]record.Seccomp{
		"seccomp=unconfined": {Profile: record.Unconfined},
		"seccomp:unconfined": {Profile: record.Unconfined},
		"seccomp=builtin":    {Profile: record.Builtin},
		"seccomp=mine.json":  {Profile: filepath.Join(here(t), "mine.json"), JSON: []byte(text)},
	} {
		r, err := requested(t, runFlags{SecurityOpt: []string{given, "no-new-privileges"}})
		if got := r.Spec.Seccomp; err != nil || got.Profile != want.Profile || string(got.JSON) != string(want.JSON) || !r.Spec.NoNewPrivileges {
			t.Errorf("%s: %+v, %v", given, got, err)
		}
	}
	_, err := requested(t, runFlags{SecurityOpt: []string{"seccomp=bad.json"}})
	if err == nil || err.Error() != `--security-opt seccomp: bad.json:2: defaultAction: "ALLOW": no such action` {
		t.Error(err)
	}
}

func here(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestRequestErrors(t *testing.T) {
	here := t.TempDir()
	for name, test := range map[string]struct {
		flags runFlags
		want  string
	}{
		"name":            {runFlags{Name: "a b"}, "a b"},
		"hostname":        {runFlags{Hostname: "a\n1.2.3.4 github.com"}, "hostname"},
		"cidfile there":   {runFlags{CIDFile: here}, "is there already"},
		"add-host":        {runFlags{AddHost: []string{"x"}}, "x"},
		"dns":             {runFlags{DNS: []string{"one"}}, "one"},
		"dns list":        {runFlags{DNS: []string{"1.1.1.1,2.2.2.2"}}, "1.1.1.1,2.2.2.2"},
		"dns-search":      {runFlags{DNSSearch: []string{"a b"}}, "a b"},
		"signal":          {runFlags{StopSignal: "SIGFOO"}, "SIGFOO"},
		"capability":      {runFlags{CapAdd: []string{"SYS_FOO"}}, "SYS_FOO"},
		"capability list": {runFlags{CapDrop: []string{"CHOWN,KILL"}}, "CHOWN,KILL"},
		"env":             {runFlags{Env: []string{"=x"}}, "--env"},
		"env file":        {runFlags{EnvFile: []string{here + "/none"}}, "--env-file"},
		"label":           {runFlags{Label: []string{"=x"}}, "invalid label"},
		"shm size":        {runFlags{ShmSize: "much"}, "--shm-size"},
		"shm size none":   {runFlags{ShmSize: "0"}, "--shm-size"},
		"ulimit":          {runFlags{Ulimit: []string{"nofile=20:10"}}, "soft limit is above"},
		"ulimit unknown":  {runFlags{Ulimit: []string{"foo=1"}}, "invalid ulimit"},
		"device":          {runFlags{Device: []string{"null"}}, "--device"},
		"security option": {runFlags{SecurityOpt: []string{"sideways=yes"}}, "no-new-privileges"},
		"no profile":      {runFlags{SecurityOpt: []string{"seccomp=" + here + "/none"}}, "--security-opt seccomp: open " + here + "/none"},
		"userns host":     {runFlags{UserNS: "host"}, "--userns host"},
		"userns unknown":  {runFlags{UserNS: "sideways"}, "keep-id"},
		"platform":        {runFlags{Platform: "nonsense/"}, "nonsense/"},
	} {
		if _, err := requested(t, test.flags); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q in it", name, err, test.want)
		}
	}
}

func TestCIDFileIsNeverOverwritten(t *testing.T) {
	name := filepath.Join(t.TempDir(), "cid")
	c := newContainer{runFlags: runFlags{CIDFile: name}}
	if err := c.writeCIDFile("0123"); err != nil {
		t.Fatal(err)
	}
	if err := c.writeCIDFile("4567"); err == nil {
		t.Error("written twice")
	}
	if text, err := os.ReadFile(name); err != nil || string(text) != "0123" {
		t.Errorf("%q, %v", text, err)
	}
}
