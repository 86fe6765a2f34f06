package cli

import (
	"os"

	"rootlet/cli/inspect"
	"rootlet/pull/credentials"
	"rootlet/sandbox"
	"rootlet/sandbox/record"
	"rootlet/sandbox/volume"
	"rootlet/slirp"
)

// completes reports whether a container in this state may be what a command is
// for.
func completes(command string, force bool, s record.Status) bool {
	switch command {
	case "kill", "stop":
		return shownAlways(s)
	case "attach":
		return s.Up()
	case "exec", "pause", "top":
		return s == record.Running
	case "unpause":
		return s == record.Paused
	case "start":
		return s == record.Created || s == record.Exited
	case "rm":
		return force || !shownAlways(s)
	}
	return true
}

func anyStatus(record.Status) bool { return true }

// objects are what an inspect may show.
func (c *completer) objects(target runner) {
	kinds := objectKinds[:]
	switch t := target.(type) {
	case *containerInspectCmd:
		kinds = []string{kindContainer}
	case *objectInspectCmd:
		kinds = []string{t.kind}
	}
	for _, kind := range kinds {
		switch kind {
		case kindContainer:
			c.containers(anyStatus)
		case kindImage:
			c.images()
		case kindVolume:
			c.volumes()
		case kindNetwork:
			c.networks()
		}
	}
}

// networks are those that can be named.
func (c *completer) networks() {
	c.offer(inspect.Networks()...)
	c.here(func(paths sandbox.Paths) {
		entries, _ := paths.Networks().List()
		for _, e := range entries {
			c.offer(e.Name)
		}
	})
}

// copied is an argument of cp: a file here, or in a container.
func (c *completer) copied() {
	c.here(func(paths sandbox.Paths) {
		entries, _ := record.Root(paths.Data).List()
		for _, e := range entries {
			c.offer(e.Spec.Name + ":")
		}
	})
	c.lines = append(c.lines, noSpace, addFiles)
}

func (c *completer) containers(wanted func(record.Status) bool) {
	c.here(func(paths sandbox.Paths) {
		entries, _ := record.Root(paths.Data).List()
		for _, e := range entries {
			if wanted(e.State.Status) {
				c.offer(e.Spec.Name)
			}
		}
	})
}

// networkModes are what --network may be.
func (c *completer) networkModes() {
	c.offer(slirp.Auto)
	c.networks()
	c.shared()
}

// shared are the containers that one can share a namespace of.
func (c *completer) shared() {
	c.here(func(paths sandbox.Paths) {
		entries, _ := record.Root(paths.Data).ListAlive()
		for _, e := range entries {
			if e.State.Status.Up() {
				c.offer(record.Sharing + e.Spec.Name)
			}
		}
	})
}

func (c *completer) images() {
	c.here(func(paths sandbox.Paths) {
		images, _ := view(paths).Images()
		for _, i := range images {
			for _, name := range i.Names {
				if repository, tag := splitName(name); tag != none {
					c.offer(repository + ":" + tag)
				}
			}
		}
	})
}

func (c *completer) volumes() {
	c.here(func(paths sandbox.Paths) {
		volumes, _ := volume.In(paths.Data).List()
		for _, v := range volumes {
			c.offer(v.Name)
		}
	})
}

// registries are those that the user has a login for.
func (c *completer) registries() {
	hosts, _ := credentials.Of(os.Getenv, "").Hosts()
	c.offer(hosts...)
}

// here calls list where there are things of the user's to be listed.
func (c *completer) here(list func(sandbox.Paths)) {
	if paths, err := findPaths(); err == nil {
		list(paths)
	}
}
