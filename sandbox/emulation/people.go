package emulation

import (
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// ids are those of a process, of users or of groups (credentials(7)).
type ids struct{ real, effective, saved, files uint32 }

func same(id uint32) ids { return ids{id, id, id, id} }

func (i ids) isRoot() bool { return i.effective == 0 }

func (i ids) has(id uint32) bool { return id == i.real || id == i.effective || id == i.saved }

// set is setuid(2) and setgid(2); root says that it is for one who may take any id.
func (i *ids) set(to uint32, root bool) error {
	switch {
	case to == unset:
		return unix.EINVAL
	case root:
		*i = same(to)
	case to == i.real || to == i.saved:
		i.effective, i.files = to, to
	default:
		return unix.EPERM
	}
	return nil
}

// setTwo is setreuid(2).
func (i *ids) setTwo(real, effective uint32, root bool) error {
	if !root && (real != unset && real != i.real && real != i.effective || effective != unset && !i.has(effective)) {
		return unix.EPERM
	}
	old := *i
	if real != unset {
		i.real = real
	}
	if effective != unset {
		i.effective = effective
	}
	if real != unset || effective != unset && effective != old.real {
		i.saved = i.effective
	}
	i.files = i.effective
	return nil
}

// setThree is setresuid(2).
func (i *ids) setThree(real, effective, saved uint32, root bool) error {
	for _, id := range []uint32{real, effective, saved} {
		if !root && id != unset && !i.has(id) {
			return unix.EPERM
		}
	}
	if real != unset {
		i.real = real
	}
	if effective != unset {
		i.effective = effective
	}
	if saved != unset {
		i.saved = saved
	}
	i.files = i.effective
	return nil
}

// person is who a process believes to be.
type person struct {
	uid, gid ids
	groups   []uint32 // never changed in place
}

func personOf(h Hello) person { return person{uid: same(h.UID), gid: same(h.GID), groups: h.Groups} }

// isRoot says that it is what a process of the container really is.
func (p person) isRoot() bool { return p.uid == ids{} && p.gid == ids{} && len(p.groups) == 0 }

// mayGive says whether chown(2) would give a file to another owner. Whose a file is that
// nobody has given away is not known: it may be his who has made it.
func (p person) mayGive(from owner, given bool, to owner, privileged bool) bool {
	if privileged {
		return true
	}
	if !given {
		from = owner{p.uid.files, p.gid.files}
		if to.uid == 0 { // it stays as it is
			to.uid = from.uid
		}
	}
	return from.uid == p.uid.files && to.uid == from.uid &&
		(to.gid == from.gid || to.gid == p.gid.files || slices.Contains(p.groups, to.gid))
}

// people are the processes that have said who they are, and those that were asked for. What
// nobody has said of itself it is by its parent.
type people struct {
	mu    sync.Mutex
	known map[int]kept // by the process's number
	look  func(pid int) (process, bool)
}

// kept is a person, and when his process began: its number comes again.
type kept struct {
	person
	born string
}

// process is what /proc says of one.
type process struct {
	parent int
	born   string
}

// maxPeople is when the dead are looked for.
const maxPeople = 4096

// get finds out who a process is. first is what those are that nobody has changed.
func (p *people) get(pid int, first person) person {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.find(pid, first, 0)
}

func (p *people) find(pid int, first person, depth int) person {
	const deepest = 128
	is, alive := p.look(pid)
	if !alive || depth > deepest {
		return first
	}
	if k, known := p.known[pid]; known && k.born == is.born {
		return k.person
	}
	who := first
	if is.parent > 0 {
		who = p.find(is.parent, first, depth+1)
	}
	p.keep(pid, kept{who, is.born})
	return who
}

// recall is who a process has said it is, or was found to be.
func (p *people) recall(pid int) (person, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k, known := p.known[pid]
	is, alive := p.look(pid)
	return k.person, known && alive && k.born == is.born
}

// set notes who a process is from now on.
func (p *people) set(pid int, who person) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if is, alive := p.look(pid); alive {
		p.keep(pid, kept{who, is.born})
	}
}

func (p *people) keep(pid int, k kept) {
	if len(p.known) >= maxPeople {
		for pid, k := range p.known {
			if is, alive := p.look(pid); !alive || is.born != k.born {
				delete(p.known, pid)
			}
		}
	}
	p.known[pid] = k
}

// look reads what /proc says of a process.
func (s *supervisor) look(pid int) (process, bool) {
	text, err := s.slurp(strconv.Itoa(pid) + "/stat")
	// Behind the name, which may hold anything, comes field 3 (proc_pid_stat(5)).
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if err != nil || len(fields) < 20 {
		return process{}, false
	}
	parent, err := strconv.Atoi(fields[1])
	return process{parent: parent, born: fields[19]}, err == nil
}

// slurp reads a small file of /proc.
func (s *supervisor) slurp(name string) (string, error) {
	fd, err := unix.Openat(s.proc, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	buf := make([]byte, 4096)
	n, err := unix.Read(fd, buf)
	return string(buf[:max(n, 0)]), err
}

// process is the number of the process whose thread asks.
func (r *receiver) process() int {
	pid, err := strconv.Atoi(r.status("Tgid"))
	if err != nil {
		return int(r.in.pid)
	}
	return pid
}

// who is who asks.
func (r *receiver) who() person {
	if !r.changed.Load() {
		return r.first
	}
	return r.people.get(r.process(), r.first)
}

// tell answers with one id.
func (r *receiver) tell(which func(person) uint32) (int64, error) {
	if !r.changed.Load() {
		return 0, errKernel // root he is
	}
	return int64(which(r.who())), nil
}

// tellThree is getresuid(2).
func (r *receiver) tellThree(a [6]uint64, which func(person) ids) (int64, error) {
	if !r.changed.Load() {
		return 0, errKernel
	}
	i := which(r.who())
	for n, id := range []uint32{i.real, i.effective, i.saved} {
		if err := r.write(a[n], bytesOf(&id)); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// tellGroups is getgroups(2). What the kernel would say is nobody's group: the caller's own
// groups, which have no number here.
func (r *receiver) tellGroups(a [6]uint64) (int64, error) {
	groups, size := r.who().groups, int(int32(a[0]))
	switch {
	case size < 0 || size > 0 && size < len(groups):
		return 0, unix.EINVAL
	case size > 0 && len(groups) > 0:
		text := make([]byte, 0, 4*len(groups))
		for _, g := range groups {
			text = append(text, bytesOf(&g)...)
		}
		if err := r.write(a[1], text); err != nil {
			return 0, err
		}
	}
	return int64(len(groups)), nil
}

// become changes who asks.
func (r *receiver) become(change func(*person) error) (int64, error) {
	pid, who := r.process(), r.who()
	if err := change(&who); err != nil {
		return 0, err
	}
	if err := r.valid(); err != nil {
		return 0, err
	}
	if !who.isRoot() {
		r.change()
	}
	if r.changed.Load() {
		r.people.set(pid, who)
	}
	return 0, nil
}

// may says whether a person has a capability: root does, if the container does.
func (r *receiver) may(p person, capability int) bool {
	return p.uid.isRoot() && r.caps&(1<<capability) != 0
}

func (r *receiver) setUser(set func(i *ids, root bool) error) (int64, error) {
	return r.become(func(p *person) error { return set(&p.uid, r.may(*p, unix.CAP_SETUID)) })
}

func (r *receiver) setGroup(set func(i *ids, root bool) error) (int64, error) {
	return r.become(func(p *person) error { return set(&p.gid, r.may(*p, unix.CAP_SETGID)) })
}

// setFiles is setfsuid(2), which returns what it was and never fails.
func (r *receiver) setFiles(which func(*person) *ids, capability int, to uint32) (int64, error) {
	var was uint32
	_, err := r.become(func(p *person) error {
		i := which(p)
		was = i.files
		if to != unset && (r.may(*p, capability) || i.has(to) || to == i.files) {
			i.files = to
		}
		return nil
	})
	return int64(was), err
}

// maxGroups is NGROUPS_MAX.
const maxGroups = 65536

func (r *receiver) setGroups(a [6]uint64) (int64, error) {
	size := int(int32(a[0]))
	if size < 0 || size > maxGroups {
		return 0, unix.EINVAL
	}
	groups := make([]uint32, size)
	for i := range groups {
		if err := r.read(a[1]+4*uint64(i), bytesOf(&groups[i])); err != nil {
			return 0, err
		}
	}
	return r.become(func(p *person) error {
		if !r.may(*p, unix.CAP_SETGID) {
			return unix.EPERM
		}
		p.groups = groups
		return nil
	})
}

// capset leaves to the kernel what it can do: to give up capabilities is real. To take some
// that nobody gave is not, and answered with success.
func (r *receiver) capset(a [6]uint64) (int64, error) {
	var head unix.CapUserHeader
	var data [2]unix.CapUserData
	if r.read(a[0], bytesOf(&head)) != nil || r.read(a[1], bytesOf(&data)) != nil {
		return 0, errKernel
	}
	has, err := strconv.ParseUint(r.status("CapPrm"), 16, 64)
	wants := uint64(data[0].Permitted|data[0].Effective) | uint64(data[1].Permitted|data[1].Effective)<<32
	if err != nil || head.Version != unix.LINUX_CAPABILITY_VERSION_3 || wants&^has == 0 {
		return 0, errKernel
	}
	return 0, nil
}
