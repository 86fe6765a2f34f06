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
	attach := verb[attachCmd]("attach", "Connect to a container that runs")
	commit := verb[commitCmd]("commit", "Make an image of a container's changes")
	completion := verb[completionCmd]("completion", "Print a script by which a shell completes rootlet's words")
	containerInspect := verb[containerInspectCmd]("inspect", "Show all that is known of containers")
	cp := verb[cpCmd]("cp", "Copy files between a container and the host")
	create := verb[createCmd]("create", "Create a container and do not start it")
	diff := verb[diffCmd]("diff", "List what a container has changed in its root")
	doctor := verb[doctorCmd]("doctor", "Say what this host lacks, and the lines that mend it")
	events := verb[eventsCmd]("events", "Show what happens, and what happened")
	exec := verb[execCmd]("exec", "Run a command in a container that runs")
	export := verb[exportCmd]("export", "Write a container's root as a tar archive")
	history := verb[historyCmd]("history", "Show how an image was made")
	imageDiff := verb[imageDiffCmd]("diff", "List what an image changes in the one below, or in another")
	imagePrune := verb[imagePruneCmd]("prune", "Remove the images that no container is made of")
	imageImport := verb[importCmd]("import", "Make an image of a tar archive or a directory")
	images := verb[imagesCmd]("images", "List images")
	info := verb[infoCmd]("info", "Show what this host gives, and what was chosen")
	inspect := verb[inspectCmd]("inspect", "Show all that is known of containers, images, networks and volumes")
	kill := verb[killCmd]("kill", "Send a signal to containers")
	load := verb[loadCmd]("load", "Take images out of an archive or a layout")
	login := verb[loginCmd]("login", "Log in to a registry")
	logout := verb[logoutCmd]("logout", "Log out of a registry")
	logs := verb[logsCmd]("logs", "Show what a container wrote")
	manifestInspect := verb[manifestInspectCmd]("inspect", "Show the manifest of an image that is in a registry")
	networkConnect := verb[networkConnectCmd]("connect", "Take a container into a network")
	networkCreate := verb[networkCreateCmd]("create", "Make a network that containers share")
	networkDisconnect := verb[networkDisconnectCmd]("disconnect", "Take a container out of a network")
	networkLs := verb[networkLsCmd]("ls", "List networks").as("ls", "list")
	networkPrune := verb[networkPruneCmd]("prune", "Remove the networks that no container has")
	networkRm := verb[networkRmCmd]("rm", "Remove networks").as("rm", "remove")
	pause := verb[pauseCmd]("pause", "Hold the processes of containers still")
	port := verb[portCmd]("port", "List the published ports of a container")
	pruneStopped := verb[containerPruneCmd]("prune", "Remove all stopped containers")
	ps := verb[psCmd]("ps", "List containers")
	pull := verb[pullCmd]("pull", "Fetch an image from a registry")
	push := verb[pushCmd]("push", "Send an image to a registry")
	registryServe := verb[registryServeCmd]("serve", "Serve a registry, of your own images or of a folder")
	rename := verb[renameCmd]("rename", "Rename a container")
	restart := verb[restartCmd]("restart", "Stop containers and start them again")
	rm := verb[rmCmd]("rm", "Remove containers")
	rmi := verb[rmiCmd]("rmi", "Remove images")
	run := verb[runCmd]("run", "Create and run a container from an image")
	save := verb[saveCmd]("save", "Write images into an archive or a layout")
	search := verb[searchCmd]("search", "Search Docker Hub or a registry for images")
	start := verb[startCmd]("start", "Start containers that do not run")
	stats := verb[statsCmd]("stats", "Show what containers use")
	stop := verb[stopCmd]("stop", "Stop containers")
	storeLs := verb[storeLsCmd]("ls", "List the images of an image store").as("ls", "list")
	storePublish := verb[storePublishCmd]("publish", "Put images into an image store, for other users of this host")
	storeRm := verb[storeRmCmd]("rm", "Take images out of an image store").as("rm", "remove")
	systemAutostart := verb[systemAutostartCmd]("autostart", "Have containers started at login or boot")
	systemCheck := verb[systemCheckCmd]("check", "Look for damage in what is stored, and mend it")
	systemDf := verb[systemDfCmd]("df", "Show what images, containers and volumes take on disk")
	systemMove := verb[systemMoveCmd]("move", "Move the data, or the layers, to another directory")
	systemPrune := verb[systemPruneCmd]("prune", "Remove stopped containers, and what nothing needs")
	systemReset := verb[systemResetCmd]("reset", "Remove all containers, images, volumes and networks")
	tag := verb[tagCmd]("tag", "Give an image one more name")
	top := verb[topCmd]("top", "List the processes of a container")
	unpause := verb[unpauseCmd]("unpause", "Let the processes of paused containers go on")
	unshare := verb[unshareCmd]("unshare", "Run a command that may touch what containers' ids own")
	update := verb[updateCmd]("update", "Change the restart policy of containers")
	version := verb[versionCmd]("version", "Show the version")
	volumeCreate := verb[volumeCreateCmd]("create", "Create a volume")
	volumeLs := verb[volumeLsCmd]("ls", "List volumes").as("ls", "list")
	volumePrune := verb[volumePruneCmd]("prune", "Remove the volumes that no container has")
	volumeRm := verb[volumeRmCmd]("rm", "Remove volumes").as("rm", "remove")
	wait := verb[waitCmd]("wait", "Wait until containers have ended")

	return []command{
		run.common(),
		ps.common(),
		exec.common(),
		pull.common(),
		images.common(),
		version.common(),
		info.common(),

		attach,
		commit,
		completion,
		cp,
		create,
		diff,
		doctor,
		events,
		export,
		history,
		imageImport,
		inspect,
		kill,
		load,
		login,
		logout,
		logs,
		pause,
		port,
		push,
		rename,
		restart,
		rm,
		rmi,
		save,
		search,
		start,
		stats,
		stop,
		tag,
		top,
		unpause,
		unshare,
		update,
		wait,

		{name: "container", help: "Manage containers", children: []command{
			attach,
			commit,
			containerInspect,
			cp,
			create,
			diff,
			exec,
			export,
			kill,
			logs,
			ps.as("ls", "list", "ps"),
			pause,
			port,
			pruneStopped,
			rename,
			restart,
			rm.as("rm", "remove"),
			run,
			start,
			stats,
			stop,
			top,
			unpause,
			update,
			wait,
		}},
		{name: "image", help: "Manage images", children: []command{
			imageDiff,
			history,
			inspectOnly(kindImage),
			images.as("ls", "list"),
			imageImport,
			imagePrune,
			load,
			pull,
			push,
			rmi.as("rm", "remove"),
			save,
			tag,
		}},
		{name: "manifest", help: "Look at manifests in registries", children: []command{
			manifestInspect,
		}},
		{name: "network", help: "Manage networks", children: []command{
			networkConnect,
			networkCreate,
			networkDisconnect,
			inspectOnly(kindNetwork),
			networkLs,
			networkPrune,
			networkRm,
		}},
		{name: "registry", help: "Serve images to others", children: []command{
			registryServe,
		}},
		{name: "store", help: "Share images with other users of this host", children: []command{
			storeLs,
			storePublish,
			storeRm,
		}},
		{name: "system", help: "Manage rootlet", children: []command{
			systemAutostart,
			systemCheck,
			systemDf,
			events,
			info,
			systemMove,
			systemPrune,
			systemReset,
		}},
		{name: "volume", help: "Manage volumes", children: []command{
			volumeCreate,
			inspectOnly(kindVolume),
			volumeLs,
			volumePrune,
			volumeRm,
		}},
	}
}

// verb is a command with its flags: those of T.
func verb[T any, P interface {
	*T
	runner
}](name, help string,
) command {
	return command{name: name, help: help, form: func() runner { return P(new(T)) }}
}

// inspectOnly is the inspect of a noun.
func inspectOnly(kind string) command {
	return command{name: "inspect", help: "Show all that is known of " + kind + "s", form: func() runner { return &objectInspectCmd{kind: kind} }}
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
