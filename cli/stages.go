package cli

import (
	"rootlet/internal/stage"
	"rootlet/sandbox"
	"rootlet/sandbox/emulation"
	"rootlet/slirp"
	"rootlet/slirp/bridge"
)

// Stages is the table of what this binary is besides the command line, by the
// argv[0] that it was started with. Each function is a whole process; it gets
// the arguments and returns the exit status.
func Stages() map[string]func(args []string) int {
	return map[string]func([]string) int{
		stage.Monitor:  func([]string) int { return sandbox.Monitor() }, // a container's parent, in U1
		stage.Sleeper:  sandbox.Awake,                                   // a monitor that slept
		stage.Worker:   func([]string) int { return Worker() },          // one piece of work on the store, in U1
		stage.Emulator: emulation.Serve,                                 // root emulation, in U1
		stage.Network:  slirp.Serve,                                     // a container's network, in U1
		stage.Bridge:   func([]string) int { return bridge.Hold() },     // a network with a name
		stage.Switch:   func([]string) int { return bridge.Switch() },   // and what moves its frames
		stage.Reaper:   sandbox.Reaper,                                  // pid 1 of a container, under --init
		stage.Holder:   func([]string) int { return sandbox.Holder() },  // a terminal that its user left
		stage.Hello:    func([]string) int { return sandbox.Hello() },   // the program of the built-in image
	}
}
