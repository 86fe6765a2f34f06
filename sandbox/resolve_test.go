package sandbox

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"rootlet/fuseoverlay"
	"rootlet/sandbox/record"
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
