package cli

// command is one word of the command line: a command of its own, or the noun
// before several.
type command struct {
	name     string
	aliases  []string
	help     string
	form     func() runner // makes the command with its flags; nil for a noun
	daily    bool          // among those that the help shows first
	children []command
}

// runner is a command whose flags have been parsed into it.
type runner interface{ Run(a *app) error }

// commands are all there are. Docker has most of them twice, alone and under
// their noun. Those of daily use come first, then each group by its letters, as
// the help shows them.
func commands() []command {
	var (
		events       = command{name: "events", help: "Show what happens, and what happened", form: func() runner { return new(eventsCmd) }}
		imagePrune   = command{name: "prune", help: "Remove the images that no container is made of", form: func() runner { return new(imagePruneCmd) }}
		images       = command{name: "images", help: "List images", form: func() runner { return new(imagesCmd) }}
		info         = command{name: "info", help: "Show what this host gives, and what was chosen", form: func() runner { return new(infoCmd) }}
		logs         = command{name: "logs", help: "Show what a container wrote", form: func() runner { return new(logsCmd) }}
		port         = command{name: "port", help: "List the published ports of a container", form: func() runner { return new(portCmd) }}
		pruneStopped = command{name: "prune", help: "Remove all stopped containers", form: func() runner { return new(containerPruneCmd) }}
		ps           = command{name: "ps", help: "List containers", form: func() runner { return new(psCmd) }}
		pull         = command{name: "pull", help: "Fetch an image from a registry", form: func() runner { return new(pullCmd) }}
		rename       = command{name: "rename", help: "Rename a container", form: func() runner { return new(renameCmd) }}
		rm           = command{name: "rm", help: "Remove containers", form: func() runner { return new(rmCmd) }}
		rmi          = command{name: "rmi", help: "Remove images", form: func() runner { return new(rmiCmd) }}
		run          = command{name: "run", help: "Create and run a container from an image", form: func() runner { return new(runCmd) }}
		systemDf     = command{name: "df", help: "Show what images, containers and volumes take on disk", form: func() runner { return new(systemDfCmd) }}
		update       = command{name: "update", help: "Change the restart policy of containers", form: func() runner { return new(updateCmd) }}
		version      = command{name: "version", help: "Show the version", form: func() runner { return new(versionCmd) }}
		volumeCreate = command{name: "create", help: "Create a volume", form: func() runner { return new(volumeCreateCmd) }}
		volumeLs     = command{name: "ls", aliases: []string{"list"}, help: "List volumes", form: func() runner { return new(volumeLsCmd) }}
		volumePrune  = command{name: "prune", help: "Remove the volumes that no container has", form: func() runner { return new(volumePruneCmd) }}
		volumeRm     = command{name: "rm", aliases: []string{"remove"}, help: "Remove volumes", form: func() runner { return new(volumeRmCmd) }}
	)
	return []command{
		run.common(),
		ps.common(),
		pull.common(),
		images.common(),
		version.common(),
		info.common(),

		events,
		logs,
		port,
		rename,
		rm,
		rmi,
		update,

		{name: "container", help: "Manage containers", children: []command{
			logs,
			ps.as("ls", "list", "ps"),
			port,
			pruneStopped,
			rename,
			rm.as("rm", "remove"),
			run,
			update,
		}},
		{name: "image", help: "Manage images", children: []command{
			images.as("ls", "list"),
			imagePrune,
			pull,
			rmi.as("rm", "remove"),
		}},
		{name: "volume", help: "Manage volumes", children: []command{
			volumeCreate,
			volumeLs,
			volumePrune,
			volumeRm,
		}},
		{name: "system", help: "Manage rootlet", children: []command{
			events,
			systemDf,
			info,
		}},
	}
}

// common is the same command among those that the help shows first.
func (c command) common() command {
	c.daily = true
	return c
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
