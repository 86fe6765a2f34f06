// Package hosts has the hosts that are not as a container tool expects: a list of
// conditions, each with the lines of shell that make it, and the means to have a user's
// commands run under one. It serves tests: testdata/hosts writes docs/hosts.md with it,
// integration checks rootlet by it. Nothing of rootlet's is in it.
//
// Root makes a condition in namespaces of its own (mounts, processes, where it is needed
// ids and network), so that nothing of the machine changes: there is a user "dev" who is
// in no table of the machine's, with an empty home in /home/dev. A process that imports
// this package calls Stage first: the namespaces' first processes are this executable.
package hosts

import "syscall"

// Condition is a row: what is wrong with a host, and what rootlet makes of it.
type Condition struct {
	Name string

	// Setup is run by root before anything else, with prelude.sh's functions and with
	// these variables: SCRATCH, a tmpfs of its own; HOME, RUNTIME, UID, NAME, the user's.
	Setup string
	// Knobs is to be run in a user namespace of its own that has every id: what it
	// writes below /proc/sys/user is nobody else's limit.
	Knobs bool
	// Offline is to have a network namespace of its own, with loopback.
	Offline bool
	// Deny are the system calls that a filter refuses, with the error.
	Deny []Denial

	// Shell comes before every command of the user's, in the same shell.
	Shell string
	// Inside is the command that runs the user's commands, "$@", in something.
	Inside string
	// Flags are further ones of run.
	Flags string
	// Run is a line of shell in place of the usual one: of ENGINE, IMAGE and FACTS.
	Run string

	Want Want
}

// Want is what rootlet has to do.
type Want struct {
	// Refused is to start no container; the error names this line of doctor, where it is not empty.
	Refused bool
	Need    string
	// Code is the exit code of what fails, where it is not 125.
	Code int
	// Says is in what is printed to standard error.
	Says string
	// Less are the facts (facts.go) in which the container is less than on a plain host.
	// Each has to be told.
	Less []string
	// DoctorFine is a host where a container runs, and the command at hand does not.
	DoctorFine bool
}

// Noticed says whether the user of such a host notices anything.
func (w Want) Noticed() bool { return w.Refused || w.Says != "" || len(w.Less) > 0 }

// Denial is a rule of a filter.
type Denial struct {
	Call  string
	Errno syscall.Errno
	// Flag is a bit that the first argument has to have; 0: all calls.
	Flag uint32
}
