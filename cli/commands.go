package cli

// command is one word of the command line: a command of its own, or the noun
// before several.
type command struct {
	name     string
	aliases  []string
	help     string
	form     func() runner // makes the command with its flags; nil for a noun
	children []command
}

// runner is a command whose flags have been parsed into it.
type runner interface{ Run(a *app) error }

// commands are all there are. Docker has most of them twice, alone and under
// their noun.
func commands() []command {
	var (
		run     = command{name: "run", help: "Create and run a container from an image", form: func() runner { return new(runCmd) }}
		pull    = command{name: "pull", help: "Fetch an image from a registry", form: func() runner { return new(pullCmd) }}
		ps      = command{name: "ps", help: "List containers", form: func() runner { return new(psCmd) }}
		logs    = command{name: "logs", help: "Show what a container wrote", form: func() runner { return new(logsCmd) }}
		rm      = command{name: "rm", help: "Remove containers", form: func() runner { return new(rmCmd) }}
		images  = command{name: "images", help: "List images", form: func() runner { return new(imagesCmd) }}
		rmi     = command{name: "rmi", help: "Remove images", form: func() runner { return new(rmiCmd) }}
		info    = command{name: "info", help: "Show what this host gives, and what was chosen", form: func() runner { return new(infoCmd) }}
		version = command{name: "version", help: "Show the version", form: func() runner { return new(versionCmd) }}
	)
	return []command{
		run, pull, ps, logs, rm, images, rmi, info, version,
		{name: "container", help: "Manage containers", children: []command{run, ps.as("ls", "list", "ps"), logs, rm.as("rm", "remove")}},
		{name: "image", help: "Manage images", children: []command{pull, images.as("ls", "list"), rmi.as("rm", "remove")}},
		{name: "system", help: "Manage rootlet", children: []command{info}},
	}
}

// as is the same command under other names.
func (c command) as(name string, aliases ...string) command {
	c.name, c.aliases = name, aliases
	return c
}

// find looks a command up by its name or an alias.
func find(all []command, word string) (command, bool) {
	for _, c := range all {
		if c.name == word {
			return c, true
		}
		for _, alias := range c.aliases {
			if alias == word {
				return c, true
			}
		}
	}
	return command{}, false
}
