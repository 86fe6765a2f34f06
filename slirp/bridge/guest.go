package bridge

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/internal/linux"
	"rootlet/internal/stage"
)

// You come here from sandbox/run.go, in the command that starts a container, which is
// the one to start a network's process: the monitor is pid 1 of a pid namespace, and
// what it starts ends with it. The other end is holder.go.

// A Guest keeps the process of a network from ending.
type Guest struct{ conn *os.File }

// Close lets it end, once nobody else needs it.
func (g *Guest) Close() error { return g.conn.Close() }

// Hold makes sure that the process of a network is there. It returns a *NotFoundError
// where there is no such network.
func (s Store) Hold(name string) (*Guest, error) {
	n, err := s.Inspect(name)
	if err != nil {
		return nil, err
	}
	if name == Default {
		if err := os.MkdirAll(s.dir(name), 0o700); err != nil {
			return nil, fmt.Errorf("network %s: %w", name, err)
		}
	}
	turn, err := s.lock(name)
	if err != nil {
		return nil, err
	}
	defer turn.Close()
	conn, err := s.dial(name)
	if err == nil {
		return &Guest{conn}, nil
	}
	l, err := s.listen(name)
	if err != nil {
		return nil, fmt.Errorf("network %s: %w", name, err)
	}
	defer l.Close()
	if err := s.start(n, l); err != nil {
		return nil, fmt.Errorf("network %s: %w", name, err)
	}
	if conn, err = s.dial(name); err != nil {
		return nil, fmt.Errorf("network %s: %w", name, err)
	}
	return &Guest{conn}, nil
}

// start starts the holder of a network, on a socket at which clients wait already.
func (s Store) start(n Network, l *net.UnixListener) error {
	listener, err := l.File()
	if err != nil {
		return err
	}
	defer listener.Close()
	conn, theirs, err := stage.Pair()
	if err != nil {
		return err
	}
	defer conn.Close()
	defer theirs.Close()
	process, err := spawn(stage.Bridge, nil, theirs, listener)
	if err != nil {
		return err
	}
	if err := process.Release(); err != nil {
		return err
	}
	return conn.SendJSON(kindTask, task{s, n})
}

// spawn starts this binary as a stage in a session of its own, with the files as its
// descriptors from 3 on. said takes what it prints; nil: nobody.
func spawn(name string, said *os.File, files ...*os.File) (*os.Process, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	if said == nil {
		said = null
	}
	process, err := os.StartProcess("/proc/self/exe", []string{name}, &os.ProcAttr{
		Dir: "/", Env: []string{}, Files: append([]*os.File{null, null, said}, files...),
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return process, nil
}

// sockets are where a network's may be: beside its record, or, where that file system
// has none, in the runtime directory.
func (s Store) sockets(name string) []string {
	return []string{filepath.Join(s.dir(name), socketFile), filepath.Join(s.Runtime, "network-"+name+".socket")}
}

func (s Store) listen(name string) (*net.UnixListener, error) {
	var errs []error
	for _, path := range s.sockets(name) {
		l, err := linux.ListenUnix(path)
		if err == nil {
			return l, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("socket: %w", errors.Join(errs...))
}

// dial connects to the holder of a network.
func (s Store) dial(name string) (conn *os.File, err error) {
	for _, path := range s.sockets(name) {
		if conn, err = linux.DialUnix(path); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// isAbsent says of an error of dial that nobody is there.
func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ECONNREFUSED)
}

// lookupWait bounds how long another network may take to answer.
const lookupWait = time.Second

// Lookup finds the addresses of a name in a network; none where nobody in it has it.
func (s Store) Lookup(network, name string) []netip.Addr {
	file, err := s.dial(network)
	if err != nil {
		return nil
	}
	conn := stage.NewConn(file)
	defer conn.Close()
	conn.Deadline(time.Now().Add(lookupWait))
	var found []netip.Addr
	if conn.SendJSON(kindLookup, lookup{name}) != nil || conn.RecvJSON(kindFound, &found) != nil {
		return nil
	}
	return found
}

// Rename has a container be found by another name in a network, if it is in it now.
func (s Store) Rename(network, id, name string) error {
	file, err := s.dial(network)
	if isAbsent(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("network %s: %w", network, err)
	}
	conn := stage.NewConn(file)
	defer conn.Close()
	text, err := json.Marshal(rename{id, name})
	if err != nil {
		return err
	}
	return conn.Send(kindRename, text)
}
