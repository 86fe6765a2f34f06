// Package sandbox is the container: what to run (Request), its parent in U1
// (Monitor), its first process (checklist.go), and the client's side of all
// that (Run).
//
// # The way from main.go to execve
//
//	process            file             what happens there
//	rootlet run        spare.go, run.go starts the monitor, then relays terminal, signals, exit code
//	 └ rootlet-monitor monitor.go       U1: which step comes after which
//	                   prepare.go       finds the image, takes a name and a lock, mounts, records
//	                   rootfs/          puts the root together in U1
//	                   launch.go        clones the first process, writes its id maps, starts its network
//	    └ init         checklist.go     a list of system calls, into U2, down to execve
//	                   firstproc/       walks it, in the clone, without Go
//
// life.go is where the monitor spends the container's life: control.go hears what
// ask.go asks in other commands, audience.go serves those who are attached,
// health.go asks the program how it is, restart.go decides whether it lives
// again, sleep.go has it sleep while nothing happens, and end.go takes all apart.
// exec.go and target.go are the way into a container that runs, with no part of
// the monitor's in it; inside.go is a worker's. sharing.go is a container in the network of
// another.
//
// The monitor is started by the user's command in a user namespace that has all
// of the user's ids (U1, package userns); the container lives in a child of it
// (U2), so that none of its processes, whatever capabilities they are given,
// can see, signal or trace the monitor.
//
// Nothing here prints. Errors travel to the client as Failure and are printed
// by package cli.
package sandbox
