package sandbox

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"rootlet/sandbox/firstproc"
	"rootlet/sandbox/record"
)

// You come here from checklist.go, in U1. A process may mount a new procfs, or sysfs, only
// where one is in its sight already of which nothing is covered (mount_namespaces(7), and
// mount_too_revealing in the kernel). In a container whose maker has put masks over its
// /proc that is not so: there a container of ours gets that /proc, masks and all.

// The steps that are refused then.
const (
	mountProcStep = "mount /proc"
	mountSysStep  = "mount /sys"
)

// mayDoWithout reports whether the container is to go on where it is refused what a word
// of its level names.
func (f first) mayDoWithout(word string) bool { return f.without != nil && f.without(word) }

// mountProc shows the processes of its pid namespace. Nobody but root can mount one of
// the host's: that is there already.
func (f first) mountProc(p *firstproc.Program) {
	if f.hostPIDs {
		f.bindProc(p)
		return
	}
	if !f.mayDoWithout(record.BoundProc) {
		mount(p, mountProcStep, "proc", "proc", "proc", kernelFS, "")
		f.boundNesting(p, false) // before /proc/sys is read-only
		return
	}
	mount(p, mountProcStep, "proc", "proc", "proc", kernelFS, "", unix.EPERM, unix.EACCES)
	p.IfDone(func() { f.boundNesting(p, false) }, func() {
		f.bindProc(p)
		p.Tell("tell the monitor of /proc", f.sync, turnBoundProc)
	})
}

// bindProc shows the /proc outside. In it a process finds itself and the files that are
// about the system, but its children under other numbers than it knows them by. One that
// the user has not asked for is read-only to the last mount below it: container root is
// the caller mostly, whose processes outside it would change by it (oom_score_adj).
func (f first) bindProc(p *firstproc.Program) {
	mount(p, "bind /proc", "/proc", "proc", "", unix.MS_BIND|unix.MS_REC, "")
	f.boundNesting(p, true)
	if f.sysWritable || f.hostPIDs && f.refused&unix.CLONE_NEWPID == 0 {
		return
	}
	setReadOnly(p, "proc")
}

// mountSys shows the network namespace that the process has entered, another
// container's; sysfs.go has that of one of its own.
func (f first) mountSys(p *firstproc.Program) {
	if !f.mayDoWithout(record.BoundSys) {
		mount(p, mountSysStep, "sysfs", "sys", "sysfs", f.sysFlags(), "")
		return
	}
	mount(p, mountSysStep, "sysfs", "sys", "sysfs", f.sysFlags(), "", unix.EPERM, unix.EACCES)
	p.IfDone(func() {}, func() {
		mount(p, "bind /sys", "/sys", "sys", "", unix.MS_BIND|unix.MS_REC, "")
		setReadOnly(p, "sys")
		p.Tell("tell the monitor of /sys", f.sync, turnBoundSys)
	})
}

// setReadOnly makes a tree of mounts read-only. Before Linux 5.12 that cannot be done, and
// leaving what is below the top writable would be a lie.
func setReadOnly(p *firstproc.Program, at string) {
	attributes := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOEXEC}
	p.Call("make /"+at+" read-only", unix.SYS_MOUNT_SETATTR, []uintptr{cwd, p.String(at), unix.AT_RECURSIVE, firstproc.Pointer(p, attributes), unsafe.Sizeof(*attributes)})
}
