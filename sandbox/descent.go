package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/internal/need"
	"rootlet/sandbox/firstproc"
	"rootlet/sandbox/record"
	"rootlet/userns"
)

// The ladder: what a container has to do without where the host refuses it. Nothing is
// asked beforehand. A step that fails with the errno that tells of a refusal is taken in
// another way (procfs.go, sysfs.go), or, where a namespace is refused, the container is
// started once more without that. You come here from monitor.go and life.go.

// hostSpaces are the namespaces that a container may have from the host for want of its
// own, by their CLONE_NEW flag, and what a level calls that; in the order of the ladder.
var hostSpaces = []struct {
	flag uintptr
	word string
}{
	{unix.CLONE_NEWCGROUP, record.HostCgroup},
	{unix.CLONE_NEWUTS, record.HostUTS},
	{unix.CLONE_NEWPID, record.HostPID},
	{unix.CLONE_NEWIPC, record.HostIPC},
	{unix.CLONE_NEWNET, record.HostNetwork},
}

// withouts says of each word what that means for a user.
var withouts = map[string]string{
	record.BoundProc:   "no /proc of its own: it has the one outside, read-only, which shows the processes outside and numbers its own as they do",
	record.BoundSys:    "no /sys of its own: it has the one outside, read-only",
	record.HostCgroup:  "no cgroup namespace of its own",
	record.HostUTS:     "no host name of its own",
	record.HostPID:     "no pid namespace of its own: its root sees your other processes and can signal them",
	record.HostIPC:     "no IPC namespace of its own: it shares System V IPC and message queues with the host",
	record.HostNetwork: "no network namespace of its own: it has the host's network, and reaches what listens on your loopback",
}

// Without says what a word of a level means; empty: it is none of the ladder's.
func Without(word string) string { return withouts[word] }

// goWithout notes it, and tells the user once a day.
func (m *monitor) goWithout(word string) {
	if slices.Contains(m.state.Level, word) {
		return
	}
	first := !slices.ContainsFunc(m.state.Level, func(w string) bool { return withouts[w] != "" })
	m.state.Level = record.WithWord(m.state.Level, word)
	if withouts[word] != "" && !m.Quiet && userns.DueToday(filepath.Join(m.Paths.Data, "notices"), word, time.Now()) {
		m.notice(fmt.Sprintf("%s: the host gives the container %s", word, withouts[word]))
		if first {
			m.notice("--require full would insist on more; " + need.See(need.UserNamespaces))
		}
	}
}

// refusal is the error of a container that insists on what the host does not give it.
func refusal(s *record.Spec, word string, cause error) error {
	what, _, _ := strings.Cut(withouts[word], ":")
	if f := new(userns.Forbidden); errors.As(cause, &f) {
		cause = f.Err // of that namespace, and not of user namespaces
	}
	insists := "--sandbox"
	if rung := s.RequiredRung(); rung != "" {
		insists = "--require " + rung
	}
	return &Failure{
		Code:    codeEngine,
		Message: fmt.Sprintf("%s: the host gives a container %s (%v)", insists, what, cause),
		Fix:     fmt.Sprintf("--require %s would do with less", record.RungOf(word)), Lacks: need.UserNamespaces,
	}
}

// explainRefusal finds the cause of a step that nothing stands in for.
func (m *monitor) explainRefusal(step *firstproc.StepError) error {
	word := map[string]string{mountProcStep: record.BoundProc, mountSysStep: record.BoundSys, hostnameStep: record.HostUTS}[step.Step]
	if (step.Errno == unix.EPERM || step.Errno == unix.EACCES) && word != "" {
		return refusal(&m.Spec, word, step)
	}
	if isNamespaces(step) {
		return step // descend finds out which of them it is
	}
	return userns.Diagnose(step)
}

// isNamespaces says whether a step of the first process's is one that makes namespaces.
func isNamespaces(step *firstproc.StepError) bool {
	return step.Step == namespacesStep || step.Step == cgroupStep
}

// rise takes steps that lead to a program that runs, and, where the host refuses a
// namespace on the way, others that do without.
func (m *monitor) rise(steps []step) error {
	err := m.take(steps)
	for err != nil {
		lower, refused := m.descend(err)
		if !lower {
			return refused
		}
		m.unmount()
		m.dropStreams()
		err = m.take(m.bringingUp())
	}
	return nil
}

// descend says whether another attempt is due after err, and otherwise what to say.
func (m *monitor) descend(err error) (bool, error) {
	var clone *os.SyscallError
	var step *firstproc.StepError
	cloned := errors.As(err, &clone) && clone.Syscall == "clone"
	entered := errors.As(err, &step) && isNamespaces(step)
	if !cloned && !entered || !userns.Refused(err) {
		return false, err
	}
	more := refusedNamespaces() &^ m.shared.foreign
	if more == 0 && errors.Is(err, unix.ENOSPC) {
		return false, userns.Crowded(err) // ours has nothing below it yet
	}
	if more == 0 {
		return false, userns.Diagnose(err)
	}
	for _, n := range hostSpaces {
		if more&n.flag == 0 {
			continue
		}
		if !m.Spec.Accepts(n.word) {
			return false, refusal(&m.Spec, n.word, err)
		}
		if n.flag == unix.CLONE_NEWNET {
			if why := m.cannotShareNetwork(); why != "" {
				return false, refusedNetwork(why, err)
			}
		}
	}
	m.refused |= more
	return true, nil
}

// cannotShareNetwork says what of the container's wishes the host's network would break;
// empty: nothing.
func (m *monitor) cannotShareNetwork() string {
	switch {
	case len(m.Spec.Egress) > 0:
		return "--egress"
	case m.publishes():
		return "--publish"
	case !m.takesAnyNetwork():
		return "--network " + m.Spec.Network
	}
	return ""
}

func refusedNetwork(why string, cause error) error {
	return &Failure{
		Code: codeEngine, Message: fmt.Sprintf("the host gives a container no network namespace of its own (%v), which %s takes", cause, why),
		Fix: "--network host would be the host's own", Lacks: need.UserNamespaces,
	}
}
