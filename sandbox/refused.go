package sandbox

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"rootlet/sandbox/firstproc"
	"rootlet/sandbox/record"
	"rootlet/userns"
)

// What a host refuses, found out by processes that try it and end at once. You come here
// from descent.go, after a refusal, and from package cli, for info and doctor.

// refusedNamespaces finds out which namespaces the host gives to no user namespace, each
// by a process that has it and ends at once.
func refusedNamespaces() uintptr {
	var refused uintptr
	if !canHave(unix.CLONE_NEWUSER) {
		return 0 // that is what it refuses
	}
	for _, n := range hostSpaces {
		if !canHave(unix.CLONE_NEWUSER | n.flag) {
			refused |= n.flag
		}
	}
	return refused
}

// canHave says whether a process can have these namespaces.
func canHave(flags uintptr) bool {
	return !userns.Refused(try(flags, func(*firstproc.Program) {}))
}

// try has a process with these namespaces take some steps.
func try(flags uintptr, steps func(*firstproc.Program)) error {
	null, err := new(handles).addFile(os.Open(os.DevNull))
	if err != nil {
		return err
	}
	defer unix.Close(null)
	p := new(firstproc.Program)
	steps(p)
	process, err := firstproc.Start(p, flags, [3]int{null, null, null})
	if err != nil {
		return err
	}
	err = process.Executed()
	_, waited := collect(process.PID)
	return errors.Join(err, waited)
}

// Level is what a container that was started now would have to do without, for info: it is
// tried, in U1, by processes that end at once.
func Level() []string {
	var level []string
	refused := refusedNamespaces()
	for _, n := range hostSpaces {
		if refused&n.flag != 0 {
			level = record.WithWord(level, n.word)
		}
	}
	for _, t := range []struct {
		word  string
		flags uintptr
		steps func(*firstproc.Program)
	}{
		{record.BoundProc, unix.CLONE_NEWPID | unix.CLONE_NEWNS, func(p *firstproc.Program) { mountAlone(p, "proc", "/proc") }},
		{record.BoundSys, unix.CLONE_NEWNET | unix.CLONE_NEWNS, func(p *firstproc.Program) { mountAlone(p, "sysfs", "/sys") }},
		{record.HostUTS, unix.CLONE_NEWUTS, func(p *firstproc.Program) {
			p.Call(hostnameStep, unix.SYS_SETHOSTNAME, []uintptr{p.String("try"), 3})
		}},
	} {
		if refused&t.flags == 0 && try(t.flags, t.steps) != nil {
			level = record.WithWord(level, t.word)
		}
	}
	return level
}

// mountAlone mounts where nobody else sees it.
func mountAlone(p *firstproc.Program, fstype, at string) {
	mount(p, "separate the mounts", "", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	mount(p, "mount "+at, fstype, at, fstype, kernelFS, "")
}
