package userns

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"rootlet/internal/distro"
	"rootlet/internal/need"
)

// writeMaps gives the namespace of pid, our child, its ids.
func (p *Plan) writeMaps(pid int) error {
	dir := "/proc/" + strconv.Itoa(pid)
	switch p.Method {
	case NewIDMap:
		return p.runMappers(strconv.Itoa(pid))
	case OneID:
		// Before gid_map, which an unprivileged writer may only set when no group
		// can be dropped any more (Linux 3.19, CVE-2014-8989).
		if err := writeProc(dir+"/setgroups", "deny"); err != nil {
			return fmt.Errorf("deny setgroups: %w", err)
		}
	}
	if err := writeMap(dir+"/uid_map", p.UIDs); err != nil {
		return fmt.Errorf("map uids: %w", err)
	}
	if err := writeMap(dir+"/gid_map", p.GIDs); err != nil {
		return fmt.Errorf("map gids: %w", err)
	}
	return nil
}

// runMappers runs both programs at the same time: each takes about a
// millisecond, most of it in the system's user database.
func (p *Plan) runMappers(pid string) error {
	uids := newMapper(p.newuidmap, pid, p.UIDs)
	gids := newMapper(p.newgidmap, pid, p.GIDs)
	uidErr, gidErr := uids.start(), gids.start()
	if uidErr == nil {
		uidErr = uids.wait()
	}
	if gidErr == nil {
		gidErr = gids.wait()
	}
	// They mostly fail for one and the same reason: one message is enough.
	if uidErr != nil {
		return uidErr
	}
	return gidErr
}

type mapper struct {
	cmd    *exec.Cmd
	stderr bytes.Buffer
}

func newMapper(path, pid string, extents []Extent) *mapper {
	args := append([]string{pid}, strings.Fields(mapText(extents))...)
	m := &mapper{cmd: exec.Command(path, args...)}
	m.cmd.Env = []string{} // it needs none, and answers in English
	// Ctrl-C is this process's to handle: half a map is of no use.
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	m.cmd.Stderr = &m.stderr
	return m
}

func (m *mapper) start() error {
	if err := m.cmd.Start(); err != nil {
		return &MapError{Program: m.cmd.Path, Err: err}
	}
	return nil
}

func (m *mapper) wait() error {
	if err := m.cmd.Wait(); err != nil {
		return &MapError{Program: m.cmd.Path, Message: strings.TrimSpace(m.stderr.String()), Err: err}
	}
	return nil
}

// MapError is a refusal of newuidmap or newgidmap.
type MapError struct {
	Program string // absolute path
	Message string // what it said on stderr
	Err     error
}

func (e *MapError) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("%s: %v", e.Program, e.Err)
	}
	return e.Message // it begins with the program's name
}

func (e *MapError) Unwrap() error { return e.Err }

// Need is the line of doctor about it.
func (e *MapError) Need() string { return need.IDs }

// Hint translates shadow's messages (src/newuidmap.c, lib/idmapping.c).
func (e *MapError) Hint() string {
	var exit *exec.ExitError
	switch {
	case !errors.As(e.Err, &exit):
		if hint, _ := need.Answer(e.Err); hint != "" {
			return hint
		}
		return e.Program + " cannot be run: try it by hand"
	case strings.Contains(e.Message, "not allowed"):
		return "the system grants other ranges than were found: compare `getsubids $USER`, and the line subid: in /etc/nsswitch.conf"
	case strings.Contains(e.Message, "Read-only file system"):
		return "/proc is mounted read-only: mount -o remount,rw /proc; in a container, start that with --security-opt systempaths=unconfined"
	case strings.Contains(e.Message, "_map failed"), strings.Contains(e.Message, "Could not"):
		return e.Program + " lacks the right to write maps: reinstall it (" + distro.Here().Reinstall(distro.Newuidmap) + "), and look for a mount with nosuid, for no_new_privs, and for a user namespace around this process (/proc/self/uid_map)"
	case strings.Contains(e.Message, "owned by a different user"):
		return "the user's primary group must be the current one: leave newgrp or sg first"
	}
	return ""
}
