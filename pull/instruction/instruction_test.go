package instruction

import (
	"reflect"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func TestApply(t *testing.T) {
	base := func() v1.Config {
		return v1.Config{Env: []string{"PATH=/bin", "A=1"}, Cmd: []string{"old"}, WorkingDir: "/srv", Labels: map[string]string{"a": "b"}}
	}
	set := func(names ...string) map[string]struct{} {
		all := map[string]struct{}{}
		for _, n := range names {
			all[n] = struct{}{}
		}
		return all
	}
	for line, edit := range map[string]func(*v1.Config){
		`CMD ["a", "b c"]`:                func(c *v1.Config) { c.Cmd = []string{"a", "b c"} },
		`cmd echo $HOME`:                  func(c *v1.Config) { c.Cmd = []string{"/bin/sh", "-c", "echo $HOME"} },
		`ENTRYPOINT ["e"]`:                func(c *v1.Config) { c.Entrypoint, c.Cmd = []string{"e"}, nil },
		"CMD [\"x\"]\nENTRYPOINT [\"e\"]": func(c *v1.Config) { c.Entrypoint, c.Cmd = []string{"e"}, []string{"x"} },
		`ENV A=2 B="two words" C=x\ y`:    func(c *v1.Config) { c.Env = []string{"PATH=/bin", "A=2", "B=two words", "C=x y"} },
		`ENV PATH=$PATH:/more`:            func(c *v1.Config) { c.Env = []string{"A=1", "PATH=/bin:/more"} },
		`ENV A ${A}${NONE:-d}${A:+s} '$A'`: func(c *v1.Config) {
			c.Env = []string{"PATH=/bin", "A=1ds $A"}
		},
		`LABEL k="v w" l=`:       func(c *v1.Config) { c.Labels = map[string]string{"a": "b", "k": "v w", "l": ""} },
		`EXPOSE 80 53/UDP 1-3`:   func(c *v1.Config) { c.ExposedPorts = set("80/tcp", "53/udp", "1/tcp", "2/tcp", "3/tcp") },
		`VOLUME ["/a b"]`:        func(c *v1.Config) { c.Volumes = set("/a b") },
		`VOLUME /a /b`:           func(c *v1.Config) { c.Volumes = set("/a", "/b") },
		`WORKDIR sub`:            func(c *v1.Config) { c.WorkingDir = "/srv/sub" },
		`WORKDIR /x/../y`:        func(c *v1.Config) { c.WorkingDir = "/y" },
		`USER 7:8`:               func(c *v1.Config) { c.User = "7:8" },
		`STOPSIGNAL SIGUSR1`:     func(c *v1.Config) { c.StopSignal = "SIGUSR1" },
		`ONBUILD RUN make`:       func(c *v1.Config) { c.OnBuild = []string{"RUN make"} },
		`HEALTHCHECK NONE`:       func(c *v1.Config) { c.Healthcheck = &v1.HealthConfig{Test: []string{"NONE"}} },
		"# a comment\n\nUSER me": func(c *v1.Config) { c.User = "me" },
		`HEALTHCHECK --interval=5s --retries=2 CMD test -e /x`: func(c *v1.Config) {
			c.Healthcheck = &v1.HealthConfig{Test: []string{"CMD-SHELL", "test -e /x"}, Interval: 5 * time.Second, Retries: 2}
		},
	} {
		got, want := base(), base()
		edit(&want)
		if err := Apply(&got, []string{line}); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v\n got %+v\nwant %+v", line, err, got, want)
		}
	}
}

func TestWrongLines(t *testing.T) {
	for line, want := range map[string]string{
		"FROM x":                     "FROM is not a valid change command",
		"run x":                      "RUN is not a valid change command",
		"CMD":                        "at least one argument",
		"ENV A":                      "want KEY=VALUE",
		"ENV A=1 B":                  "want KEY=VALUE",
		`ENV A="x`:                   "not closed",
		"LABEL A=${B:?x}":            "unsupported variable",
		"EXPOSE 0":                   "invalid containerPort",
		"EXPOSE 80/xyz":              "invalid containerPort",
		"EXPOSE 70000":               "invalid containerPort",
		"EXPOSE 9-8":                 "invalid containerPort",
		"STOPSIGNAL NONE":            "invalid signal",
		"ONBUILD ONBUILD x":          "isn't allowed",
		"ONBUILD FROM x":             "isn't allowed",
		"HEALTHCHECK":                "at least one argument",
		"HEALTHCHECK CMD":            "takes NONE",
		"HEALTHCHECK --interval=x C": "want a duration",
		"HEALTHCHECK --what=x CMD y": "unknown flag",
		`VOLUME [""]`:                "can not be an empty string",
	} {
		config := v1.Config{User: "as it was"}
		err := Apply(&config, []string{"USER other", line})
		if err == nil || !strings.Contains(err.Error(), want) || config.User != "as it was" {
			t.Errorf("%s: %v, user %s", line, err, config.User)
		}
	}
}

func FuzzApply(f *testing.F) {
	for _, line := range []string{`ENV A=${B:-${C}} D='x' "E"=\`, `LABEL a="\"$x`, "EXPOSE 1-65535", "HEALTHCHECK --retries=1 CMD []", "VOLUME [1]"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		config := v1.Config{Env: []string{"B=1"}}
		if err := Apply(&config, []string{line}); err != nil && !reflect.DeepEqual(config, v1.Config{Env: []string{"B=1"}}) {
			t.Errorf("%q failed (%v) and has changed something: %+v", line, err, config)
		}
	})
}
