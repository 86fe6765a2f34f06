package sandbox

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"rootlet/sandbox/firstproc"
	"rootlet/sandbox/identity"
)

// Which ids a user has is in files of the container's. Its root is mostly open
// to its own user namespaces alone (fuse(4), allow_other), so a process has to
// go there. It hands back what the files hold; to understand them is for package
// identity, here.

// lookup finds a user of the container, named as in an image's USER or exec's -u.
func (t *Target) lookup(user string, extra []string) (identity.Identity, error) {
	var open handles
	defer open.close()
	files := []copied{{path: "/etc/passwd"}, {path: "/etc/group"}}
	for i := range files {
		var err error
		if files[i].to, err = open.add(unix.MemfdCreate("rootlet-copy", unix.MFD_CLOEXEC)); err != nil {
			return identity.Identity{}, fmt.Errorf("memfd_create: %w", err)
		}
	}
	null, err := open.addFile(os.OpenFile(os.DevNull, os.O_RDWR, 0))
	if err != nil {
		return identity.Identity{}, err
	}
	if err := (reader{t.way, files}).walk(null); err != nil {
		return identity.Identity{}, err
	}
	passwd, err := files[0].text()
	if err != nil {
		return identity.Identity{}, err
	}
	group, err := files[1].text()
	if err != nil {
		return identity.Identity{}, err
	}
	return identity.Lookup(passwd, group, user, extra)
}

// copied is a file of a container, and the descriptor that its content goes to.
type copied struct {
	path string
	to   int
}

// text is what was copied.
func (c copied) text() (string, error) {
	b := make([]byte, identity.MaxFile+1)
	n, err := unix.Pread(c.to, b, 0)
	if err != nil {
		return "", fmt.Errorf("copy of %s: %w", c.path, err)
	}
	if n > identity.MaxFile {
		return "", fmt.Errorf("%s of the container has more than %d bytes", c.path, identity.MaxFile)
	}
	return string(b[:n]), nil
}

// reader is a process that copies files out of a container.
type reader struct {
	way   way
	files []copied
}

// walk has a process go there, and waits until it has come to its end.
func (r reader) walk(null int) error {
	process, err := firstproc.Start(r.checklist(), 0, [3]int{null, null, null})
	if err != nil {
		return err
	}
	err = process.Executed()
	_, _ = collect(process.PID)
	var step *firstproc.StepError
	if errors.As(err, &step) && step.Errno == unix.ESTALE {
		return fmt.Errorf("%s: it is no regular file", step.Step)
	}
	return err
}

// checklist is everything the reader does. It never enters the container's pid
// namespace, so that nobody inside sees it.
func (r reader) checklist() *firstproc.Program {
	p := new(firstproc.Program)
	p.Call("hide from tracers", unix.SYS_PRCTL, []uintptr{unix.PR_SET_DUMPABLE, 0})
	p.Call("new session", unix.SYS_SETSID, nil)
	r.way.enter(p)
	for _, f := range r.files {
		f.steps(p)
	}
	p.Call("end", unix.SYS_EXIT_GROUP, []uintptr{0})
	return p
}

// steps copies a regular file, and no more of it than is read of one: it is the
// container's, and could be a fifo or have no end (CVE-2024-9676). One that is
// missing stays empty.
func (c copied) steps(p *firstproc.Program) {
	const fromFD = consoleFD
	what := "read the container's " + c.path
	// Until there is a file, /dev/null stands for it; and open(2) must not happen
	// to choose this number.
	p.Call(what, unix.SYS_DUP3, []uintptr{0, fromFD, unix.O_CLOEXEC})
	p.Call(what, unix.SYS_OPENAT, []uintptr{0, p.String(c.path), unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC},
		unix.ENOENT, unix.ENOTDIR)
	p.SaveResult()
	st := &unix.Stat_t{Mode: unix.S_IFREG}
	p.CallSaved(what, unix.SYS_FSTAT, []uintptr{firstproc.Pointer(p, st)}, unix.EBADF)
	p.Expect(what, &st.Mode, unix.S_IFREG, unix.S_IFMT)
	p.CallSaved(what, unix.SYS_DUP3, []uintptr{fromFD, unix.O_CLOEXEC}, unix.EBADF)
	// EINVAL: /dev/null has nothing to send.
	p.Call(what, unix.SYS_SENDFILE, []uintptr{uintptr(c.to), fromFD, 0, identity.MaxFile + 1}, unix.EINVAL)
}
