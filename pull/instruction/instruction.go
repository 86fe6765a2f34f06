// Package instruction applies single lines in the syntax of a Dockerfile to an
// image's configuration: those that change nothing else, as commit --change and
// import --change take them. It reads no file and runs nothing.
package instruction

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"
)

// Apply changes a configuration by each of the lines, in order. None counts
// where one is wrong.
func Apply(config *v1.Config, changes []string) error {
	c := change{Config: config.DeepCopy()}
	for _, text := range changes {
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			if err := c.apply(line); err != nil {
				return fmt.Errorf("change %q: %w", line, err)
			}
		}
	}
	*config = *c.Config
	return nil
}

// change is a configuration while it is being changed.
type change struct {
	*v1.Config
	cmdSet bool // by a line: a later ENTRYPOINT leaves it
}

func (c *change) apply(line string) error {
	word, rest, _ := strings.Cut(strings.ReplaceAll(line, "\t", " "), " ")
	word, rest = strings.ToUpper(word), strings.TrimSpace(rest)
	apply, known := map[string]func(string) error{
		"CMD": c.cmd, "ENTRYPOINT": c.entrypoint, "ENV": c.env, "EXPOSE": c.expose, "HEALTHCHECK": c.healthcheck,
		"LABEL": c.label, "ONBUILD": c.onBuild, "STOPSIGNAL": c.stopSignal, "USER": c.user, "VOLUME": c.volume, "WORKDIR": c.workDir,
	}[word]
	if !known {
		return fmt.Errorf("%s is not a valid change command", word)
	}
	if rest == "" {
		return fmt.Errorf("%s requires at least one argument", word)
	}
	return apply(rest)
}

// variable is a variable of the configuration itself.
func (c *change) variable(name string) (string, bool) {
	for _, entry := range slices.Backward(c.Env) {
		if key, value, ok := strings.Cut(entry, "="); ok && key == name {
			return value, true
		}
	}
	return "", false
}

// program reads a program's two forms: a JSON array of its words, or a line for
// a shell.
func (c *change) program(text string) []string {
	if list, ok := array(text); ok {
		return list
	}
	shell := c.Shell
	if len(shell) == 0 {
		shell = []string{"/bin/sh", "-c"}
	}
	return append(slices.Clone(shell), text)
}

func array(text string) ([]string, bool) {
	var list []string
	if !strings.HasPrefix(text, "[") || json.Unmarshal([]byte(text), &list) != nil {
		return nil, false
	}
	return list, true
}

func (c *change) cmd(text string) error {
	c.Cmd, c.cmdSet = c.program(text), true
	return nil
}

// entrypoint also drops the image's CMD, which was made for another program.
func (c *change) entrypoint(text string) error {
	c.Entrypoint = c.program(text)
	if !c.cmdSet {
		c.Cmd = nil
	}
	return nil
}

// pairs reads KEY=VALUE..., or the old form of one KEY and a VALUE with blanks.
func (c *change) pairs(text string) ([][2]string, error) {
	first, rest, _ := strings.Cut(text, " ")
	if !strings.Contains(first, "=") {
		value, err := expand(strings.TrimSpace(rest), c.variable)
		if err == nil && value == "" {
			err = fmt.Errorf("%q: want KEY=VALUE", text)
		}
		return [][2]string{{first, value}}, err
	}
	list, err := words(text, c.variable)
	if err != nil {
		return nil, err
	}
	var pairs [][2]string
	for _, word := range list {
		key, value, ok := strings.Cut(word, "=")
		if !ok || key == "" {
			return nil, fmt.Errorf("%q: want KEY=VALUE", word)
		}
		pairs = append(pairs, [2]string{key, value})
	}
	return pairs, nil
}

func (c *change) env(text string) error {
	pairs, err := c.pairs(text)
	for _, p := range pairs {
		c.Env = slices.DeleteFunc(c.Env, func(e string) bool { return strings.HasPrefix(e, p[0]+"=") })
		c.Env = append(c.Env, p[0]+"="+p[1])
	}
	return err
}

func (c *change) label(text string) error {
	pairs, err := c.pairs(text)
	c.Labels = maps.Clone(c.Labels)
	if c.Labels == nil {
		c.Labels = map[string]string{}
	}
	for _, p := range pairs {
		c.Labels[p[0]] = p[1]
	}
	return err
}

func (c *change) expose(text string) error {
	list, err := words(text, c.variable)
	if err != nil {
		return err
	}
	if c.ExposedPorts == nil {
		c.ExposedPorts = map[string]struct{}{}
	}
	for _, word := range list {
		ports, protocol, given := strings.Cut(word, "/")
		if protocol = strings.ToLower(protocol); !given {
			protocol = "tcp"
		}
		first, last, isRange := strings.Cut(ports, "-")
		if !isRange {
			last = first
		}
		from, fromErr := strconv.ParseUint(first, 10, 16)
		to, toErr := strconv.ParseUint(last, 10, 16)
		if fromErr != nil || toErr != nil || from == 0 || to < from || !slices.Contains([]string{"tcp", "udp", "sctp"}, protocol) {
			return fmt.Errorf("invalid containerPort: %s", word)
		}
		for n := from; n <= to; n++ {
			c.ExposedPorts[fmt.Sprintf("%d/%s", n, protocol)] = struct{}{}
		}
	}
	return nil
}

func (c *change) onBuild(text string) error {
	word, _, _ := strings.Cut(text, " ")
	switch strings.ToUpper(word) {
	case "ONBUILD":
		return fmt.Errorf("chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
	case "MAINTAINER", "FROM":
		return fmt.Errorf("%s isn't allowed as an ONBUILD trigger", strings.ToUpper(word))
	}
	c.OnBuild = append(c.OnBuild, text)
	return nil
}

func (c *change) stopSignal(text string) error {
	signal, err := expand(text, c.variable)
	if err != nil {
		return err
	}
	number, err := strconv.Atoi(signal)
	name := strings.ToUpper(strings.TrimPrefix(strings.ToUpper(signal), "SIG"))
	if (err != nil || number < 1 || number > 64) && unix.SignalNum("SIG"+name) == 0 {
		return fmt.Errorf("invalid signal: %s", signal)
	}
	c.StopSignal = signal
	return nil
}

func (c *change) user(text string) (err error) {
	c.User, err = expand(text, c.variable)
	return err
}

func (c *change) volume(text string) error {
	list, ok := array(text)
	if !ok {
		var err error
		if list, err = words(text, c.variable); err != nil {
			return err
		}
	}
	if c.Volumes == nil {
		c.Volumes = map[string]struct{}{}
	}
	for _, v := range list {
		if v = strings.TrimSpace(v); v == "" {
			return fmt.Errorf("VOLUME specified can not be an empty string")
		}
		c.Volumes[v] = struct{}{}
	}
	return nil
}

func (c *change) workDir(text string) error {
	dir, err := expand(text, c.variable)
	if err != nil {
		return err
	}
	if !path.IsAbs(dir) {
		dir = path.Join("/", c.WorkingDir, dir)
	}
	c.WorkingDir = path.Clean(dir)
	return nil
}

func (c *change) healthcheck(text string) error {
	h := &v1.HealthConfig{}
	for strings.HasPrefix(text, "--") {
		flag, rest, _ := strings.Cut(text, " ")
		if err := healthFlag(h, flag); err != nil {
			return err
		}
		text = strings.TrimSpace(rest)
	}
	kind, rest, _ := strings.Cut(text, " ")
	rest = strings.TrimSpace(rest)
	switch kind = strings.ToUpper(kind); {
	case kind == "NONE" && rest == "":
		h.Test = []string{"NONE"}
	case kind == "CMD" && rest != "":
		if list, ok := array(rest); ok {
			h.Test = append([]string{"CMD"}, list...)
		} else {
			h.Test = []string{"CMD-SHELL", rest}
		}
	default:
		return fmt.Errorf("HEALTHCHECK takes NONE, or CMD and a command")
	}
	c.Healthcheck = h
	return nil
}

func healthFlag(h *v1.HealthConfig, flag string) error {
	name, value, _ := strings.Cut(strings.TrimPrefix(flag, "--"), "=")
	if name == "retries" {
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 {
			return fmt.Errorf("--retries %q: want a number", value)
		}
		h.Retries = n
		return nil
	}
	into, known := map[string]*time.Duration{"interval": &h.Interval, "timeout": &h.Timeout, "start-period": &h.StartPeriod}[name]
	if !known {
		return fmt.Errorf("unknown flag: %s", flag)
	}
	d, err := time.ParseDuration(value)
	if err != nil || d != 0 && d < time.Millisecond {
		return fmt.Errorf("--%s %q: want a duration of 1ms at least, as 30s", name, value)
	}
	*into = d
	return nil
}
