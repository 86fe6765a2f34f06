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
	"rootlet/slirp"
	"rootlet/userns"
)

// Namespaces of other containers (--network, --pid, --ipc, --uts container:NAME), and of
// the host. You come here from run.go, which starts the monitor, and from launch.go in
// that monitor.
//
// A network, IPC or UTS namespace is owned by the U2 of its container, a pid namespace by
// its U1, and each is entered with CAP_SYS_ADMIN over that: so that the monitor of a
// container that shares one is made in the U1 of the other. It makes its own U2 there,
// beside the other's and not below it: no process of the one container has a right over
// the other, nor over what they share.
//
// Into a pid namespace one comes only from above. The monitor of a container that shares
// one is therefore no pid 1 of its own, but a process of the other's monitor's namespace,
// with which it ends, or of the host's.

// beside is Prepare for a container that has namespaces of others, or the host's pids.
func beside(root record.Root, s *record.Spec, host Host) (*Spare, error) {
	shares := s.Shares()
	for _, share := range shares {
		if err := sharable(root, share, host); err != nil {
			return nil, err
		}
	}
	spawn, own := userns.Spawn, uintptr(unix.CLONE_NEWPID)
	if s.PID != "" {
		own = 0
	}
	if len(shares) > 0 {
		if err := oneParent(root, shares); err != nil {
			return nil, err
		}
		pids, err := pidsAbove(root, record.SharesWith(s.PID))
		if err != nil {
			return nil, err
		}
		defer pids.Close()
		spawn = func(c userns.Command) (*os.Process, error) { return startInside(root, shares[0].With, c, pids) }
	}
	spare, err := prepare(spawn, own)
	if errors.Is(err, ErrNotRunning) {
		err = sharable(root, shares[0], host) // it has ended meanwhile
	}
	if err == nil {
		spare.mapped = len(shares) > 0
	}
	return spare, err
}

// sharable says in Docker's words why a container has no namespace for one of these ids
// to share; nil: it has.
func sharable(root record.Root, share record.Share, host Host) error {
	spec, state, err := neighbour(root, share)
	if err == nil && state.IDMode != host.IDMode {
		return &Failure{
			Code:    codeEngine,
			Message: fmt.Sprintf("cannot join %s of container %s: it was started when you had other ids (%s, now %s)", share.What, spec.Name, state.IDMode, host.IDMode),
			Fix:     "rootlet stop " + spec.Name + " && rootlet start " + spec.Name,
		}
	}
	return err
}

// neighbour reads of a container that is up, and shares what is asked for.
func neighbour(root record.Root, share record.Share) (record.Spec, record.State, error) {
	spec, err := root.Spec(share.With)
	if err != nil {
		return spec, record.State{}, fmt.Errorf("cannot join %s of container %s: %w", share.What, short(share.With), gone(err, share.With))
	}
	state, err := root.Live(share.With)
	if err == nil {
		err = isUp(&spec, state, share.What)
	}
	if err == nil && share.What == record.SharesIPC && spec.IPC != record.Shareable {
		err = &Failure{
			Code: codeEngine, Message: fmt.Sprintf("cannot join IPC of container %s: it is not shareable", spec.Name),
			Fix: "make it with --ipc shareable",
		}
	}
	return spec, state, err
}

// isUp says that a container has no process whose namespaces could be shared.
func isUp(s *record.Spec, state record.State, what string) error {
	switch {
	case state.Status.Up():
		return nil
	case state.Status == record.Restarting:
		return &Failure{Code: codeEngine, Message: fmt.Sprintf("container %s is restarting, wait until the container is running", s.Name)}
	}
	return &Failure{
		Code:    codeEngine,
		Message: fmt.Sprintf("cannot join %s of a non running container: %s is %s", what, s.Name, state.Status),
		Fix:     "rootlet start " + s.Name,
	}
}

func short(id string) string { return id[:min(12, len(id))] }

// gone is the error of a container that is no more.
func gone(err error, id string) error {
	if errors.Is(err, fs.ErrNotExist) {
		return &record.NotFoundError{Given: short(id)}
	}
	return err
}

// oneParent refuses to share with containers that have no U1 in common.
func oneParent(root record.Root, shares []record.Share) error {
	for _, s := range shares[1:] {
		same, err := sameParent(root, shares[0].With, s.With)
		if err != nil {
			return err
		}
		if !same {
			return &Failure{
				Code:    codeEngine,
				Message: fmt.Sprintf("cannot join %s of container %s and %s of container %s: these two share nothing themselves", shares[0].What, short(shares[0].With), s.What, short(s.With)),
				Fix:     "make one of them share a namespace of the other's, as with --ipc container:NAME",
			}
		}
	}
	return nil
}

// sameParent reports whether two containers that run have the same U1.
func sameParent(root record.Root, a, b string) (bool, error) {
	var st [2]unix.Stat_t
	for i, id := range []string{a, b} {
		u1, err := userNamespace(root, id)
		if err != nil {
			return false, err
		}
		err = unix.Fstat(int(u1.Fd()), &st[i])
		u1.Close()
		if err != nil {
			return false, err
		}
	}
	return st[0].Dev == st[1].Dev && st[0].Ino == st[1].Ino, nil
}

// pidsAbove opens the pid namespace that a monitor has to be in whose container is to
// have another's: that above. nil is the caller's own, or that no other's is wanted.
func pidsAbove(root record.Root, id string) (*os.File, error) {
	if id == "" {
		return nil, nil
	}
	var above *os.File
	err := ofFirstProcess(root, id, func(dir string) error {
		pids, err := os.Open(dir + "/ns/pid")
		if err != nil {
			return err
		}
		defer pids.Close()
		own, err := ownNamespace("pid")
		if err != nil || own.is(int(pids.Fd())) {
			return err
		}
		fd, err := unix.IoctlRetInt(int(pids.Fd()), unix.NS_GET_PARENT)
		if err != nil {
			return os.NewSyscallError("ioctl NS_GET_PARENT", err)
		}
		unix.CloseOnExec(fd)
		above = os.NewFile(uintptr(fd), "pid namespace")
		return nil
	})
	return above, err
}

// Astray reports whether a container that runs shares something of another which has
// got another monitor since: its own, in the U1 of the old one, cannot join it again.
func Astray(root record.Root, spec *record.Spec) bool {
	for _, s := range spec.Shares() {
		if same, err := sameParent(root, spec.ID, s.With); err == nil && !same {
			return true
		}
	}
	return false
}

// shared are the namespaces of others that a container is to have, until its first
// process has them.
type shared struct {
	pids    *os.File // nil: its own, or that of the monitor
	others  []namespace
	foreign uintptr   // CLONE_NEW flags of all that are not its own
	shm     *otherShm // whose /dev/shm it has
	open    handles
}

// otherShm is another container's /dev/shm: the mount namespace where it is, and two
// numbers of descriptors that the first process may use.
type otherShm struct{ mounts, back, tree int }

// shareNamespaces opens what the container has from others: it is another namespace at
// each start where the other container was started again.
func (m *monitor) shareNamespaces() error {
	m.shared = shared{foreign: m.refused}
	m.state.Level = nil // what the host refuses shows anew at each start
	if m.CreateOnly {
		return nil
	}
	for _, n := range hostSpaces {
		if m.refused&n.flag != 0 && !m.asksFor(n.flag) {
			m.goWithout(n.word)
		}
	}
	for _, n := range []struct {
		name, what, mode string
		flag             uintptr
	}{
		{"net", record.SharesNetwork, m.Spec.Network, unix.CLONE_NEWNET},
		{"pid", record.SharesPID, m.Spec.PID, unix.CLONE_NEWPID},
		{"ipc", record.SharesIPC, m.Spec.IPC, unix.CLONE_NEWIPC},
		{"uts", record.SharesUTS, m.Spec.UTS, unix.CLONE_NEWUTS},
	} {
		if record.IsForeign(n.mode) {
			m.shared.foreign |= n.flag
		}
		if other := record.SharesWith(n.mode); other != "" {
			if err := m.share(n.name, record.Share{What: n.what, With: other}, n.flag); err != nil {
				return err
			}
		}
	}
	return nil
}

// asksFor reports whether the user wants another's namespace anyway.
func (m *monitor) asksFor(flag uintptr) bool {
	mode := map[uintptr]string{
		unix.CLONE_NEWNET: m.Spec.Network, unix.CLONE_NEWPID: m.Spec.PID, unix.CLONE_NEWIPC: m.Spec.IPC, unix.CLONE_NEWUTS: m.Spec.UTS,
	}[flag]
	return record.IsForeign(mode)
}

// share opens one namespace of another container.
func (m *monitor) share(name string, share record.Share, flag uintptr) error {
	file, err := m.namespaceOf(share, name)
	if err != nil {
		return err
	}
	own, err := ownNamespace(name)
	if err != nil {
		return errors.Join(err, file.Close())
	}
	isOwn := own.is(int(file.Fd()))
	switch {
	case flag == unix.CLONE_NEWNET && isOwn:
		m.net.hosts = true
	case flag == unix.CLONE_NEWPID && !isOwn:
		m.shared.pids = file
		return nil
	case !isOwn:
		fd, err := m.shared.open.addFile(file, nil)
		m.shared.others = append(m.shared.others, namespace{name, flag, fd})
		if err != nil || flag != unix.CLONE_NEWIPC {
			return err
		}
		return m.shareShm(share)
	}
	return file.Close()
}

// shareShm opens the way to another container's /dev/shm.
func (m *monitor) shareShm(share record.Share) error {
	s := new(otherShm)
	var err error
	if s.mounts, err = m.shared.open.addFile(m.namespaceOf(share, "mnt")); err != nil {
		return err
	}
	for _, number := range []*int{&s.back, &s.tree} {
		if *number, err = m.shared.open.reserve(); err != nil {
			return err
		}
	}
	m.shared.shm = s
	return nil
}

func (s *shared) close() {
	_ = s.pids.Close()
	s.open.close()
	s.pids = nil
}

// namespaceOf opens a namespace of a container's first process, which is known by the
// time of its beginning: the monitor has numbers of its own for processes.
func (m *monitor) namespaceOf(share record.Share, name string) (*os.File, error) {
	spec, state, err := neighbour(record.Root(m.Paths.Data), share)
	if err != nil {
		return nil, err
	}
	path := fmt.Sprintf("/proc/%d/ns/%s", state.PID, name)
	fd, err := new(handles).add(unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0))
	switch {
	case errors.Is(err, unix.EACCES):
		return nil, m.errAstray()
	case err != nil && !errors.Is(err, unix.ENOENT):
		return nil, fmt.Errorf("open the %s namespace of container %s: %w", name, spec.Name, err)
	case err == nil && record.Born(state.PID) == state.Born:
		return os.NewFile(uintptr(fd), path), nil
	case err == nil:
		unix.Close(fd)
	}
	state.Status = record.Exited
	return nil, isUp(&spec, state, share.What)
}

// errAstray is what the kernel's refusal to join means: see Astray.
func (m *monitor) errAstray() error {
	share := m.Spec.Shares()[0]
	name := short(share.With)
	if spec, err := record.Root(m.Paths.Data).Spec(share.With); err == nil {
		name = spec.Name
	}
	return &Failure{
		Code:    codeEngine,
		Message: fmt.Sprintf("cannot join %s of container %s: it was started anew by another command", share.What, name),
		Fix:     "rootlet start " + m.Spec.Name,
	}
}

// joinStep begins the name of the steps that the kernel refuses to those of another U1.
const joinStep = "enter the other container's "

func isJoin(step *firstproc.StepError) bool { return strings.HasPrefix(step.Step, joinStep) }

// joinOthers has the first process enter what it shares, while it is in U1, and mount
// what shows it: that takes a right over the namespace, which U2 has not.
func (f first) joinOthers(p *firstproc.Program) {
	for _, n := range f.others {
		p.Call(joinStep+n.name, unix.SYS_SETNS, []uintptr{uintptr(n.fd), n.flag})
		switch n.flag {
		case unix.CLONE_NEWNET:
			f.mountSys(p)
		case unix.CLONE_NEWIPC:
			mountQueues(p)
		}
	}
	if f.shm != nil {
		f.bindShm(p)
	}
}

// bindShm takes a copy of the other's /dev/shm, from where that is mounted. A tmpfs
// has no other place to be had from.
func (f first) bindShm(p *firstproc.Program) {
	const what = joinStep + "/dev/shm"
	p.Call(what, unix.SYS_OPENAT, []uintptr{cwd, p.String("proc/self/ns/mnt"), unix.O_RDONLY | unix.O_CLOEXEC})
	p.SaveResult()
	p.CallSaved(what, unix.SYS_DUP3, []uintptr{uintptr(f.shm.back), unix.O_CLOEXEC})
	p.Call(what, unix.SYS_SETNS, []uintptr{uintptr(f.shm.mounts), unix.CLONE_NEWNS})
	p.Call(what, unix.SYS_OPEN_TREE, []uintptr{cwd, p.String("/dev/shm"), unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC | unix.AT_SYMLINK_NOFOLLOW})
	p.SaveResult()
	p.CallSaved(what, unix.SYS_DUP3, []uintptr{uintptr(f.shm.tree), unix.O_CLOEXEC})
	p.Call(what, unix.SYS_SETNS, []uintptr{uintptr(f.shm.back), unix.CLONE_NEWNS})
	chdir(p, "enter the root again", f.root)
	p.Call(what, unix.SYS_MOVE_MOUNT, []uintptr{uintptr(f.shm.tree), p.String(""), cwd, p.String("dev/shm"), unix.MOVE_MOUNT_F_EMPTY_PATH})
}

// sharesPIDs says that the container's processes do not end with its first one. It is
// known from shareNamespaces on.
func (m *monitor) sharesPIDs() bool { return m.shared.foreign&unix.CLONE_NEWPID != 0 }

// endMembers kills what is left of a container whose pid namespace is not its own, and
// which the kernel does not end.
func (m *monitor) endMembers() {
	if m.state.UserNS == "" {
		return
	}
	killed := map[int]bool{}
	for found := true; found; {
		found = false
		pids, _ := Processes(m.state)
		for _, pid := range pids {
			if !killed[pid] {
				_ = signalMember(m.state, pid, unix.SIGKILL)
				killed[pid], found = true, true
			}
		}
	}
	m.state.UserNS = ""
}

// onHost reports whether the container has the host's network, be it by way of another
// container.
func (m *monitor) onHost() bool { return m.state.Network == slirp.Host || m.net.hosts }
