package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"rootlet/fuseoverlay"
	"rootlet/sandbox/record"
	"rootlet/slirp/publish"
)

const debianLike = `{"config":{"User":"web","Env":["PATH=/bin","LANG=C","SECRET","*","A*","=x"],"Entrypoint":["/entry"],"Cmd":["serve","-v"],
	"WorkingDir":"srv","Volumes":{"/data":{},"/log/":{}},"Labels":{"a":"image","b":"image"},"StopSignal":"SIGQUIT"}}`

func TestResolveObeysTheImage(t *testing.T) {
	r := Request{}
	if err := r.resolve([]byte(debianLike)); err != nil {
		t.Fatal(err)
	}
	s := r.Spec
	if got := s.Process.Args(); !reflect.DeepEqual(got, []string{"/entry", "serve", "-v"}) {
		t.Errorf("args %q", got)
	}
	if s.Process.User != "web" || s.Process.WorkingDir != "/srv" || s.StopSignal != "SIGQUIT" || s.Labels["b"] != "image" {
		t.Errorf("got %+v", s)
	}
	if !reflect.DeepEqual(s.Process.Env, []string{"PATH=/bin", "LANG=C"}) {
		t.Errorf("env %q", s.Process.Env)
	}
	if len(s.Mounts) != 2 || s.Mounts[0].Target != "/data" || s.Mounts[1].Target != "/log" || !s.Mounts[0].Anonymous {
		t.Errorf("mounts %+v", s.Mounts)
	}
}

func TestTheUserOverridesTheImage(t *testing.T) {
	r := Request{Spec: record.Spec{
		Process: record.Process{Cmd: []string{"ls"}, User: "7", WorkingDir: "/w", Env: []string{"LANG=de", "NEW=1"}},
		Labels:  map[string]string{"a": "user"},
		Mounts:  []record.Mount{{Type: record.Bind, Source: "/h", Target: "/data/"}},
	}}
	if err := r.resolve([]byte(debianLike)); err != nil {
		t.Fatal(err)
	}
	s := r.Spec
	if got := s.Process.Args(); !reflect.DeepEqual(got, []string{"/entry", "ls"}) {
		t.Errorf("args %q", got)
	}
	if !reflect.DeepEqual(s.Process.Env, []string{"PATH=/bin", "LANG=de", "NEW=1"}) {
		t.Errorf("env %q", s.Process.Env)
	}
	if s.Process.User != "7" || s.Process.WorkingDir != "/w" || s.Labels["a"] != "user" || s.Labels["b"] != "image" {
		t.Errorf("got %+v", s)
	}
	if len(s.Mounts) != 2 || s.Mounts[1].Target != "/log" {
		t.Errorf("mounts %+v", s.Mounts)
	}
}

func TestAnEntrypointOfTheUsersForgetsTheImagesCommand(t *testing.T) {
	r := Request{EntrypointSet: true, Spec: record.Spec{Process: record.Process{Entrypoint: []string{"sh"}}}}
	if err := r.resolve([]byte(debianLike)); err != nil || !slices.Equal(r.Spec.Process.Args(), []string{"sh"}) {
		t.Fatalf("args %q, %v", r.Spec.Process.Args(), err)
	}
	r = Request{EntrypointSet: true}
	if err := r.resolve([]byte(debianLike)); err == nil {
		t.Fatalf("an empty entrypoint and no command became %q", r.Spec.Process.Args())
	}
}

func TestResolveRefuses(t *testing.T) {
	for name, config := range map[string]string{
		"nothing to run":  `{"config":{}}`,
		"empty command":   `{"config":{"Cmd":[""]}}`,
		"no JSON":         `{"config":`,
		"relative volume": `{"config":{"Cmd":["x"],"Volumes":{"data":{}}}}`,
		"many volumes":    `{"config":{"Cmd":["x"],"Volumes":{` + manyVolumes(maxVolumes+1) + `}}}`,
	} {
		r := Request{}
		if err := r.resolve([]byte(config)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func manyVolumes(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(",")
		}
		b.WriteString(`"/` + strings.Repeat("v", i+1) + `":{}`)
	}
	return b.String()
}

func TestAnImageOfAnotherPlatformIsNone(t *testing.T) {
	const arm = `{"os":"linux","architecture":"arm64","variant":"v8","config":{"Cmd":["x"]}}`
	for arch, found := range map[string]bool{"arm64": true, "amd64": false} {
		r := Request{Platform: &Platform{OS: "linux", Architecture: arch, Variants: []string{""}}}
		err := r.resolve([]byte(arm))
		if found != (err == nil) || !found && !errors.Is(err, fuseoverlay.ErrNoImage) {
			t.Errorf("%s: %v", arch, err)
		}
	}
}

func TestCandidates(t *testing.T) {
	env := []string{"PATH=/usr/bin::/bin"}
	for command, want := range map[string][]string{
		"ls":      {"/usr/bin/ls", "ls", "/bin/ls"},
		"./ls":    {"./ls"},
		"/bin/ls": {"/bin/ls"},
	} {
		if got := candidates(command, env); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", command, got, want)
		}
	}
}

// What Docker does with a signal that is none; a program that cannot be stopped is worse.
func TestAStopSignalThatIsNoneIsSIGTERM(t *testing.T) {
	r := Request{}
	if err := r.resolve([]byte(`{"config":{"Cmd":["x"],"StopSignal":"SIGKILL\nSIGTERM"}}`)); err != nil || r.Spec.StopSignal != "" {
		t.Fatalf("%q, %v", r.Spec.StopSignal, err)
	}
}

// FuzzImageConfig holds that whatever an image says of itself, it is refused, or makes a
// container that can be recorded, started, checked and stopped.
func FuzzImageConfig(f *testing.F) {
	for _, config := range []string{
		debianLike, `{"config":{}}`, `{"config":{"Cmd":["x"],"Volumes":{"/a":{},"/a/":{},"//a":{},"/":{},"/../b":{}}}}`,
		`{"os":"linux","architecture":"arm","variant":"v7","config":{"Cmd":["a\u0000"],"Env":["A=\u0000"],"WorkingDir":"\u0000"}}`,
		`{"config":{"Cmd":["x"],"ExposedPorts":{"1-65535/udp":{},"2-65535/udp":{},"0":{},"x/sctp":{},"65535-65536/tcp":{}},"StopSignal":"SIGRTMIN+99"}}`,
		`{"config":{"Cmd":["x"],"Healthcheck":{"Test":["CMD-SHELL","true"],"Interval":9223372036854775807,"Timeout":-1,"StartPeriod":-9223372036854775808,"StartInterval":9223372036854775807,"Retries":-1}}}`,
		`{"config":{"Cmd":["x"],"Env":["PATH=","PATH=:a:/b","=","A","A=1","A=2"],"User":"\n:","Labels":{"":""}}}`, `{"config":null}`, `[]`,
	} {
		f.Add([]byte(config), "", "/w", byte(len(config)))
	}
	f.Add([]byte(debianLike), "A=1", "", byte(15))
	f.Fuzz(func(t *testing.T, config []byte, env, dir string, how byte) {
		r := Request{NoHealthCheck: how&1 != 0, EntrypointSet: how&2 != 0, Spec: record.Spec{
			Process: record.Process{Env: []string{strings.ToValidUTF8(env, "?")}, WorkingDir: strings.ToValidUTF8(dir, "?")},
		}}
		if how&4 != 0 {
			r.Spec.UserNS.Mode = record.KeepID
		}
		if how&8 != 0 {
			r.Spec.Process.Cmd, r.Spec.Mounts = []string{"ls"}, []record.Mount{{Type: record.Bind, Source: "/h", Target: "/data/"}}
			r.Spec.Health = &record.HealthCheck{Retries: 3}
		}
		if r.resolve(config) != nil {
			return
		}
		checkProcess(t, r.Spec.Process)
		checkMounts(t, r.Spec.Mounts)
		checkHealth(t, r.Spec.Health)
		if err := CheckSignal(r.Spec.StopSignal); err != nil {
			t.Error(err)
		}
		checkPorts(t, r.Spec.ExposedPorts)
		text, err := json.Marshal(r.Spec)
		var again record.Spec
		if err == nil {
			err = json.Unmarshal(text, &again)
		}
		if reread, _ := json.Marshal(again); err != nil || !bytes.Equal(text, reread) {
			t.Errorf("%s\nis read again as\n%s\n%v", text, reread, err)
		}
	})
}

func checkProcess(t *testing.T, p record.Process) {
	t.Helper()
	if len(p.Args()) == 0 || p.Args()[0] == "" || len(candidates(p.Args()[0], p.Env)) == 0 {
		t.Errorf("nothing to run: %q", p.Args())
	}
	if p.WorkingDir != path.Clean("/"+p.WorkingDir) {
		t.Errorf("working directory %q", p.WorkingDir)
	}
	names := map[string]bool{}
	for _, entry := range p.Env {
		name, _, ok := strings.Cut(entry, "=")
		if !ok || name == "" || names[name] {
			t.Errorf("environment %q", p.Env)
		}
		names[name] = true
	}
	for _, text := range append(append(p.Args(), p.WorkingDir), p.Env...) {
		if strings.Contains(text, "\x00") {
			t.Errorf("a zero byte in %q", text)
		}
	}
}

func checkMounts(t *testing.T, mounts []record.Mount) {
	t.Helper()
	at := map[string]bool{}
	for _, m := range mounts {
		target := path.Clean(m.Target)
		if !path.IsAbs(target) || at[target] || strings.Contains(target, "\x00") || m.Anonymous != (m.Type == record.Volume) || m.Anonymous && m.Source != "" {
			t.Errorf("mount %+v of %+v", m, mounts)
		}
		at[target] = true
	}
	if len(mounts) > maxVolumes+1 {
		t.Errorf("%d mounts", len(mounts))
	}
}

// checkHealth wants probes in finite numbers, each with an end.
func checkHealth(t *testing.T, h *record.HealthCheck) {
	t.Helper()
	check := checkOf(h)
	if check == nil {
		return
	}
	if len((prober{check: *check}).words()) == 0 || check.Timeout < time.Millisecond || check.Retries < 1 {
		t.Errorf("check %+v", check)
	}
	for _, age := range []time.Duration{0, 1000 * time.Hour} {
		h := health{check: check}
		h.next(record.State{Health: &record.Health{Status: record.HealthStarting}}, age)
		if h.due < sinceBoot() {
			t.Errorf("check %+v is due at %v, it is %v", check, h.due, sinceBoot())
		}
		h.timer.Stop()
	}
}

func checkPorts(t *testing.T, specs []string) {
	t.Helper()
	if len(specs) > maxPorts || !slices.IsSorted(specs) || len(slices.Compact(slices.Clone(specs))) < len(specs) {
		t.Errorf("ports %q", specs)
	}
	if ports, err := publish.ParseExposed(specs); err == nil && len(ports) > 2*65535 {
		t.Errorf("%d ports", len(ports))
	}
}
