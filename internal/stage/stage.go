// Package stage names the processes that rootlet is made of and carries what
// they say to each other.
//
// Every stage is this same binary, started with the stage's name as argv[0] and
// one end of a socket pair as descriptor 3. What it shall do comes over that
// socket as one JSON document, never by flags or environment, and what went
// wrong goes back the same way, to be printed once by the command that the user
// typed. Nothing here knows what a document means; that is the business of the
// package that starts the stage and of the one that serves it.
package stage

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// The stages, as argv[0] of their process. docs/architecture.md has the table.
const (
	// Monitor is a container's parent in U1: sandbox/monitor.go.
	Monitor = "rootlet-monitor"
	// Sleeper is a monitor that has nothing to do, and what it wakes up as:
	// sandbox/sleep.go.
	Sleeper = "rootlet-sleeper"
	// Worker does one piece of work on the store in U1: cli/worker.go.
	Worker = "rootlet-worker"
	// Network is a container's network stack, its published ports, or both, in U1:
	// slirp/own.go.
	Network = "rootlet-network"
	// Emulator answers for root emulation, in U1: sandbox/emulation.
	Emulator = "rootlet-emulator"
	// Bridge holds a network with a name together: slirp/bridge/holder.go.
	Bridge = "rootlet-bridge"
	// Switch moves the frames of such a network: slirp/bridge/switch.go.
	Switch = "rootlet-switch"
	// Reaper is a container's pid 1 under --init: sandbox/reaper.go.
	Reaper = "rootlet-init"
	// Holder keeps the terminal of a program that was left: sandbox/holder.go.
	Holder = "rootlet-holder"
	// Hello is the program of the built-in image: sandbox/hello.go.
	Hello = "rootlet-hello"
)

// socketFD is where a stage finds its end of the socket pair.
const socketFD = 3

// Pair makes a connection and the descriptor that the other end of it inherits.
// The caller closes the file once the stage has started.
func Pair() (*Conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	return newConn(fds[0]), os.NewFile(uintptr(fds[1]), "stage"), nil
}

// Inherited is a stage's own end. It fails where descriptor 3 is no socket, as
// when someone types a stage's name at a shell.
func Inherited() (*Conn, error) {
	kind, err := unix.GetsockoptInt(socketFD, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil || kind != unix.SOCK_STREAM {
		return nil, fmt.Errorf("%s is started by rootlet, not by hand", os.Args[0])
	}
	unix.CloseOnExec(socketFD)
	return newConn(socketFD), nil
}
