package inspect

import (
	"time"

	"rootlet/sandbox/record"
)

// Config is what a container was made with that could move to another host.
type Config struct {
	Hostname     string
	Domainname   string
	User         string
	AttachStdin  bool
	AttachStdout bool
	AttachStderr bool
	ExposedPorts map[string]struct{} `json:",omitempty"`
	Tty          bool
	OpenStdin    bool
	StdinOnce    bool
	Env          []string
	Cmd          []string
	Healthcheck  *Healthcheck `json:",omitempty"`
	Image        string
	Volumes      map[string]struct{}
	WorkingDir   string
	Entrypoint   []string
	OnBuild      []string
	Labels       map[string]string
	StopSignal   string `json:",omitempty"`
	StopTimeout  *int   `json:",omitempty"`
	Shell        []string
}

// Healthcheck is how a container is asked whether it is well.
type Healthcheck struct {
	Test          []string      `json:",omitempty"`
	Interval      time.Duration `json:",omitempty"`
	Timeout       time.Duration `json:",omitempty"`
	StartPeriod   time.Duration `json:",omitempty"`
	StartInterval time.Duration `json:",omitempty"`
	Retries       int           `json:",omitempty"`
}

func configOf(s record.Spec) Config {
	c := Config{
		Hostname: s.Hostname, User: s.Process.User, AttachStdin: s.Interactive && !s.Detached, AttachStdout: !s.Detached,
		AttachStderr: !s.Detached, ExposedPorts: set(s.ExposedPorts), Tty: s.Process.TTY, OpenStdin: s.Interactive,
		StdinOnce: s.Interactive && !s.Detached, Env: filled(s.Process.Env), Cmd: s.Process.Cmd, Image: s.Image,
		WorkingDir: s.Process.WorkingDir, Entrypoint: s.Process.Entrypoint, Labels: s.Labels,
		StopSignal: s.StopSignal, StopTimeout: s.StopTimeout,
	}
	if c.Labels == nil {
		c.Labels = map[string]string{}
	}
	if h := s.Health; h != nil {
		check := Healthcheck(*h)
		c.Healthcheck = &check
	}
	var volumes []string
	for _, m := range s.Mounts {
		if m.Type == record.Volume && m.Anonymous {
			volumes = append(volumes, m.Target)
		}
	}
	c.Volumes = set(volumes)
	return c
}

// set are the words as keys; nil where there is none.
func set(words []string) map[string]struct{} {
	if len(words) == 0 {
		return nil
	}
	keys := map[string]struct{}{}
	for _, w := range words {
		keys[w] = struct{}{}
	}
	return keys
}

// filled is a list that is [] in JSON where it is empty.
func filled[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
