package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"rootlet/sandbox/firstproc"
	"rootlet/sandbox/record"
)

// You come here from cli/exec.go. Next is exec.go.

// Target is a container that runs, with the way into it held open: whatever
// becomes of its pid, it is this container that is joined, or none.
type Target struct {
	spec      *record.Spec
	state     record.State
	way       way
	setGroups bool // setgroups(2) is allowed inside
	open      handles
}

// way leads into a container: descriptors of its namespaces, in the order in
// which they can be entered.
type way []namespace

type namespace struct {
	name string
	flag uintptr
	fd   int
}

// enter appends the steps that lead inside. The pid namespace is entered by
// children only (setns(2)).
func (w way) enter(p *firstproc.Program) {
	for _, n := range w {
		p.Call("enter the container's "+n.name+" namespace", unix.SYS_SETNS, []uintptr{uintptr(n.fd), n.flag})
	}
}

// OpenTarget finds the way into a running container, for a command of the
// user's. given is what he calls it. The container's monitor has no part in it.
func OpenTarget(root record.Root, id, given string) (*Target, error) {
	spec, err := root.Spec(id)
	if err != nil {
		return nil, err
	}
	state, err := root.Live(id)
	if err != nil {
		return nil, err
	}
	if err := joinable(state, given); err != nil {
		return nil, err
	}
	t := &Target{spec: &spec, state: state}
	pidfd, err := t.open.add(unix.PidfdOpen(state.PID, 0))
	if err == nil {
		err = t.find(pidfd, false)
	}
	if err != nil {
		t.Close()
		// Had it ended meanwhile, that is what there is to say.
		if now, liveErr := root.Live(id); liveErr == nil && joinable(now, given) != nil {
			return nil, joinable(now, given)
		}
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) || dying(state) {
			return nil, notRunning(given) // and its monitor is about to write that down
		}
		return nil, fmt.Errorf("join container %s: %w", given, err)
	}
	// The first process has not been reaped, and is the one of the record still:
	// its pid has meant nothing else since it was looked up.
	now, err := root.Live(id)
	if err == nil {
		err = joinable(now, given)
	}
	if err == nil && now.PID != state.PID {
		err = notRunning(given)
	}
	if err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// joinable says in Docker's words why a container cannot be joined.
func joinable(s record.State, given string) error {
	switch s.Status {
	case record.Running:
		return nil
	case record.Paused:
		return &Failure{Code: 1, Message: fmt.Sprintf("container %s is paused, unpause the container before exec", given)}
	case record.Restarting:
		return &Failure{Code: 1, Message: fmt.Sprintf("container %s is restarting, wait until the container is running", given)}
	}
	return notRunning(given)
}

func notRunning(given string) error {
	return &Failure{Code: 1, Message: fmt.Sprintf("container %s is not running", given)}
}

// targetOf is the same for a container's monitor, which is in U1 already.
func targetOf(spec *record.Spec, state record.State, pidfd int) (*Target, error) {
	t := &Target{spec: spec, state: state}
	pidfd, err := t.open.add(pidfd, nil)
	if err == nil {
		err = t.find(pidfd, true)
	}
	if err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// Close lets go of the way; what has joined stays.
func (t *Target) Close() { t.open.close() }

// find opens the namespaces of the container's first process. The pid namespace
// belongs to U1 (see cloneFlags) and has to be entered from there, and so have those
// that may be shared; the others are U2's, which a process enters with every capability
// over it.
func (t *Target) find(pidfd int, inU1 bool) error {
	users, err := userNamespaces(t.proc(""), &t.open)
	if err != nil {
		return err
	}
	if !inU1 {
		if len(users) < 2 {
			return fmt.Errorf("process %d is in no container", t.state.PID)
		}
		t.way = append(t.way, namespace{"outer user", unix.CLONE_NEWUSER, users[len(users)-1]})
		users = users[:len(users)-1]
	}
	if err := t.add("pid", unix.CLONE_NEWPID); err != nil {
		return err
	}
	// They may be another container's, of whose U2 this one's is no parent; that of the
	// control groups belongs to U1.
	for _, n := range []namespace{{"net", unix.CLONE_NEWNET, 0}, {"ipc", unix.CLONE_NEWIPC, 0}, {"uts", unix.CLONE_NEWUTS, 0}, {"cgroup", unix.CLONE_NEWCGROUP, 0}} {
		if err := t.add(n.name, n.flag); err != nil {
			return err
		}
	}
	t.way = append(t.way, namespace{"user", unix.CLONE_NEWUSER, users[len(users)-1]})
	if err := t.add("mnt", unix.CLONE_NEWNS); err != nil {
		return err
	}
	allowed, err := os.ReadFile(t.proc("setgroups"))
	if err != nil {
		return err
	}
	t.setGroups = strings.TrimSpace(string(allowed)) == "allow"
	if hasEnded(pidfd) {
		return unix.ESRCH
	}
	return nil
}

func (t *Target) proc(file string) string { return fmt.Sprintf("/proc/%d/%s", t.state.PID, file) }

// add opens a namespace of the container's, unless it is the caller's own, as
// with --network host.
func (t *Target) add(name string, flag uintptr) error {
	fd, err := t.open.add(unix.Open(t.proc("ns/"+name), unix.O_RDONLY|unix.O_CLOEXEC, 0))
	if err != nil {
		return fmt.Errorf("open its %s namespace: %w", name, err)
	}
	own, err := ownNamespace(name)
	if err != nil {
		return err
	}
	if !own.is(fd) {
		t.way = append(t.way, namespace{name, flag, fd})
	}
	return nil
}

// userNamespaces are those from a process's own, which dir shows, up to the one that is
// a child of ours. A program may have gone deeper than U2.
func userNamespaces(dir string, open *handles) ([]int, error) {
	own, err := ownNamespace("user")
	if err != nil {
		return nil, err
	}
	at, err := open.add(unix.Open(dir+"/ns/user", unix.O_RDONLY|unix.O_CLOEXEC, 0))
	if err != nil {
		return nil, fmt.Errorf("open its user namespace: %w", err)
	}
	var list []int
	for !own.is(at) {
		list = append(list, at)
		// EPERM: it is none of ours (ioctl_nsfs(2)).
		if at, err = open.add(unix.IoctlRetInt(at, unix.NS_GET_PARENT)); err != nil {
			return nil, fmt.Errorf("find its user namespace's parent: %w", err)
		}
	}
	if len(list) == 0 {
		return nil, errors.New("it is in no container")
	}
	return list, nil
}

// namespaceInode tells one namespace from another (namespaces(7)).
type namespaceInode struct{ dev, ino uint64 }

func ownNamespace(name string) (namespaceInode, error) {
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/"+name, &st); err != nil {
		return namespaceInode{}, fmt.Errorf("our own %s namespace: %w", name, err)
	}
	return namespaceInode{st.Dev, st.Ino}, nil
}

func (n namespaceInode) is(fd int) bool {
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && n == namespaceInode{st.Dev, st.Ino}
}
