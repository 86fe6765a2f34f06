// The runtime would keep two files of the host's cgroup open in every stage, to
// follow its CPU limit; a stage has no use for that, and start-up is on the
// user's time.

//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0

// Rootlet runs containers for users without root, without a daemon.
//
// One binary is every process that rootlet is made of. It begins as the command
// that the user typed (package cli), and starts itself again, under another
// name, for each further stage; docs/architecture.md has the table of stages.
package main

import (
	"os"
	"runtime"

	"rootlet/cli"
)

// init keeps main on the process's first thread. The monitor ties the life of
// its container to the thread that made it, and the first is the one that lives
// as long as the process; and whatever changes a thread of ours must never land
// on the one by which /proc shows the whole process.
func init() { runtime.LockOSThread() }

// main tells the stages apart by argv[0], which is rootlet's own to choose; any
// other name is the command line. Next is cli/stages.go, or cli/cli.go.
func main() {
	if len(os.Args) == 0 {
		os.Exit(cli.ExitEngine)
	}
	if serve, ok := cli.Stages()[os.Args[0]]; ok {
		os.Exit(serve(os.Args[1:]))
	}
	os.Exit(cli.Main(os.Args[1:]))
}
