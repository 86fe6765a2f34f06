package sandbox

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"sort"
	"strings"
	"time"

	"rootlet/fuseoverlay"
	"rootlet/sandbox/record"
)

// imageConfig is the part of an image's configuration that a container obeys
// (OCI image-spec, config.md). Nothing of it ever selects a host path, a
// device, a network or a program of the host's.
type imageConfig struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant"`
	Config       struct {
		User       string
		Env        []string
		Entrypoint []string
		Cmd        []string
		WorkingDir string
		Volumes    map[string]struct{}
		Labels     map[string]string
		StopSignal string

		ExposedPorts map[string]struct{}
		Healthcheck  *struct {
			Test                                          []string
			Interval, Timeout, StartPeriod, StartInterval time.Duration
			Retries                                       int
		}
	} `json:"config"`
}

// defaultPath is the PATH of a container whose image sets none, as Docker's.
const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// resolve completes the spec of a request from the image's configuration.
func (r *Request) resolve(config []byte) error {
	var image imageConfig
	if err := json.Unmarshal(config, &image); err != nil {
		return fmt.Errorf("image configuration: %w", err)
	}
	if p := r.Platform; p != nil && !p.accepts(image) {
		return fmt.Errorf("%w for %s/%s: the one here is for %s/%s", fuseoverlay.ErrNoImage, p.OS, p.Architecture, image.OS, image.Architecture)
	}
	s, c := &r.Spec, &image.Config
	if !r.EntrypointSet {
		s.Process.Entrypoint = c.Entrypoint
		if len(s.Process.Cmd) == 0 {
			s.Process.Cmd = c.Cmd
		}
	}
	if len(s.Process.Args()) == 0 {
		return errors.New("no command given, and the image has none")
	}
	if s.Process.Args()[0] == "" {
		return errors.New("the command is an empty string")
	}
	for _, arg := range s.Process.Args() {
		if strings.ContainsRune(arg, 0) {
			return fmt.Errorf("the command's argument %.100q holds a zero byte", arg)
		}
	}
	if s.Process.User == "" && s.UserNS.Mode == record.KeepID {
		uid, gid := s.UserNS.Kept(r.Host.UID, r.Host.GID)
		s.Process.User = fmt.Sprintf("%d:%d", uid, gid) // as Podman does
	}
	if s.Process.User == "" {
		s.Process.User = c.User
	}
	if s.Process.WorkingDir != "" && !path.IsAbs(s.Process.WorkingDir) {
		return fmt.Errorf("the working directory %q is not an absolute path", s.Process.WorkingDir)
	}
	if s.Process.WorkingDir == "" {
		s.Process.WorkingDir = c.WorkingDir
	}
	s.Process.WorkingDir = path.Join("/", s.Process.WorkingDir)
	if s.StopSignal == "" {
		s.StopSignal = c.StopSignal
	}
	s.Platform = image.OS + "/" + image.Architecture
	s.ExposedPorts = exposed(slices.Collect(maps.Keys(c.ExposedPorts)), s.ExposedPorts)
	r.resolveHealth(image)
	s.Labels = merged(c.Labels, s.Labels)
	s.Process.Env = mergeEnv(append([]string{defaultPath}, c.Env...), s.Process.Env)
	return addVolumes(s, c.Volumes)
}

// maxPorts bounds what an image's EXPOSE lines can put into a record.
const maxPorts = 1000

// exposed joins the image's ports and the user's, each once.
func exposed(image, user []string) []string {
	var all []string
	for _, port := range append(image, user...) {
		if len(all) < maxPorts && len(port) <= len("65535-65535/sctp") {
			all = append(all, port)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// resolveHealth lays the user's health check over the image's.
func (r *Request) resolveHealth(image imageConfig) {
	if r.NoHealthCheck {
		r.Spec.Health = &record.HealthCheck{Test: []string{"NONE"}}
		return
	}
	own := image.Config.Healthcheck
	if own == nil {
		return
	}
	if r.Spec.Health == nil {
		r.Spec.Health = new(record.HealthCheck)
	}
	h := r.Spec.Health
	if len(h.Test) == 0 {
		h.Test = own.Test
	}
	h.Interval = cmp.Or(h.Interval, own.Interval)
	h.Timeout = cmp.Or(h.Timeout, own.Timeout)
	h.StartPeriod = cmp.Or(h.StartPeriod, own.StartPeriod)
	h.StartInterval = cmp.Or(h.StartInterval, own.StartInterval)
	h.Retries = cmp.Or(h.Retries, own.Retries)
}

// accepts reports whether an image is for the platform that the user named.
func (p *Platform) accepts(image imageConfig) bool {
	variant := image.Variant
	if image.Architecture == "arm64" && variant == "v8" || image.Architecture == "arm" && variant == "v7" {
		variant = "" // the default of each, as containerd normalises it
	}
	return image.OS == p.OS && image.Architecture == p.Architecture && slices.Contains(p.Variants, variant)
}

func merged(under, over map[string]string) map[string]string {
	all := map[string]string{}
	for _, m := range []map[string]string{under, over} {
		for k, v := range m {
			all[k] = v
		}
	}
	return all
}

// mergeEnv lays the user's variables over the image's. What is no KEY=VALUE is
// left out: an image that could name a variable without a value would be
// answered with the host's (CVE-2026-57231).
func mergeEnv(image, user []string) []string {
	var env []string
	at := map[string]int{}
	for _, entry := range append(slices.Clone(image), user...) {
		key, _, ok := strings.Cut(entry, "=")
		if !ok || key == "" || strings.ContainsRune(entry, 0) {
			continue
		}
		if i, known := at[key]; known {
			env[i] = entry
			continue
		}
		at[key] = len(env)
		env = append(env, entry)
	}
	return env
}

// setDefault adds KEY=VALUE unless KEY is set.
func setDefault(env []string, key, value string) []string {
	if slices.ContainsFunc(env, func(e string) bool { return strings.HasPrefix(e, key+"=") }) {
		return env
	}
	return append(env, key+"="+value)
}

// lookup returns the value of a variable.
func lookup(env []string, key string) string {
	for _, e := range env {
		if value, ok := strings.CutPrefix(e, key+"="); ok {
			return value
		}
	}
	return ""
}

// maxVolumes bounds what an image's VOLUME lines can make us create.
const maxVolumes = 128

// addVolumes gives each of the image's volumes that the user has not mounted
// over an anonymous one.
func addVolumes(s *record.Spec, volumes map[string]struct{}) error {
	if len(volumes) > maxVolumes {
		return fmt.Errorf("image declares %d volumes: at most %d", len(volumes), maxVolumes)
	}
	var targets []string
	for target := range volumes {
		targets = append(targets, target)
	}
	sort.Strings(targets)
	for _, target := range targets {
		if !path.IsAbs(target) {
			return fmt.Errorf("image declares the volume %q: not an absolute path", target)
		}
		target = path.Clean(target)
		taken := slices.ContainsFunc(s.Mounts, func(m record.Mount) bool { return path.Clean(m.Target) == target })
		if !taken {
			s.Mounts = append(s.Mounts, record.Mount{Type: record.Volume, Target: target, Anonymous: true})
		}
	}
	return nil
}

// candidates are the paths at which execve will be tried for a command, as
// execvp(3) does with the container's own PATH.
func candidates(command string, env []string) []string {
	if strings.Contains(command, "/") {
		return []string{command}
	}
	var paths []string
	for dir := range strings.SplitSeq(lookup(env, "PATH"), ":") {
		if dir == "" {
			dir = "."
		}
		paths = append(paths, path.Join(dir, command))
	}
	return paths
}
