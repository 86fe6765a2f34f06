package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// settle is how long an idle container is left alone before it is counted: a
// monitor of rootlet's goes to sleep two seconds after the last event.
const settle = 5 * time.Second

// memory adds up what one idle container costs besides its own program: the PSS of
// every process that its start brought.
func (b *bencher) memory() (rows []row, err error) {
	for _, c := range []struct {
		name, network string
		detached      bool
		target        target
	}{
		{"memory of an idle detached container without a network", "none", true, target{absolute: 5, goal: 3}},
		{"memory of an idle detached container with slirp4netns", "slirp4netns", true, target{}},
		{"memory of an idle detached container with builtin (podman: slirp4netns)", "builtin", true, target{absolute: 12}},
		{"memory of an idle container without a network, besides the attached client", "none", false, target{}},
	} {
		r := row{name: c.name, unit: "MiB", target: c.target}
		theirs := c.network
		if theirs == "builtin" {
			theirs = "slirp4netns"
		}
		podman, err := b.idle("podman", theirs, c.detached)
		if err != nil {
			return nil, fmt.Errorf("podman: %w", err)
		}
		rootlet, err := b.idle("rootlet", c.network, c.detached)
		if err != nil {
			return nil, fmt.Errorf("rootlet: %w", err)
		}
		r.podman, r.rootlet = podman.total(), rootlet.total()
		r.note = fmt.Sprintf("podman: %s. rootlet: %s", podman, rootlet)
		rows = append(rows, r)
	}
	return rows, nil
}

// cost is the PSS of processes by their names, in MiB.
type cost struct {
	helpers map[string]size
	client  float64 // of the command that the user typed, where that is still there
}

func (c cost) total() (mib float64) {
	for _, s := range c.helpers {
		mib += s.total()
	}
	return mib
}

// String says where each part of it goes.
func (c cost) String() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(c.helpers)) {
		parts = append(parts, fmt.Sprintf("%s %.2f = %s", name, c.helpers[name].total(), c.helpers[name]))
	}
	if c.client > 0 {
		parts = append(parts, fmt.Sprintf("client %.1f", c.client))
	}
	return strings.Join(parts, "; ")
}

// idle runs a container that sleeps, and returns what it costs.
func (b *bencher) idle(tool, network string, detached bool) (c cost, err error) {
	f, err := startFamily()
	if err != nil {
		return c, err
	}
	defer f.close()
	defer b.clear()
	args := []string{"run", "--network", network}
	if detached {
		args = append(args, "-d")
	}
	cmd := b.command(nil, "/usr/bin/env", append(append([]string{tool}, args...), b.ref("busybox"), "sleep", "600")...)
	if err := cmd.Start(); err != nil {
		return c, err
	}
	defer func() { _ = cmd.Wait() }()
	defer b.clear() // upon which an attached client ends
	time.Sleep(settle)
	c.helpers = map[string]size{}
	found := false
	for _, pid := range f.members() {
		name := processName(pid)
		if name == "busybox" || name == "sleep" {
			found = true
			continue
		}
		s, err := sizeOfProcess(pid)
		switch {
		case err != nil:
			return c, err
		case pid == cmd.Process.Pid:
			c.client = s.total()
		case s.total() > 0: // not one that is gone, and waits for its parent
			c.helpers[name] = c.helpers[name].plus(s)
		}
	}
	if !found {
		return c, fmt.Errorf("no container is seen after %v", settle)
	}
	return c, nil
}
