package sandbox

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"rootlet/internal/stage"
	"rootlet/userns"
)

// You come here from package cli, before it knows what to run. Next is run.go.

// Spare is a monitor that is loading and knows of nothing yet.
type Spare struct {
	conn    *stage.Conn
	monitor *os.Process
	stdin   *os.File // the end of its standard input that we feed
	mapped  bool     // its ids are mapped: see beside
	noPIDs  error    // why it has no pid namespace of its own; nil: it has
}

// Prepare starts a monitor. It may be called before it is known what to run:
// loading a stage takes as long as reading the command line and having the id
// maps written, and there is a second core for it. A spare ends by itself when
// this process does.
//
// It has a pid namespace of its own, so that the kernel kills all that is below it
// when it dies.
func Prepare() (*Spare, error) { return prepare(userns.Spawn, unix.CLONE_NEWPID) }

// prepare is Prepare with other namespaces: see beside.
func prepare(spawn func(userns.Command) (*os.Process, error), namespaces uintptr) (*Spare, error) {
	conn, theirs, err := stage.Pair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	// Standard input goes in as a pipe, which never holds up the frames of signals
	// and sizes behind it.
	feedFrom, feed, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	defer feedFrom.Close()
	c := userns.Command{
		Stage: stage.Monitor, Files: []*os.File{theirs}, Stdin: feedFrom,
		Namespaces: namespaces,
	}
	monitor, err := spawn(c)
	var noPIDs error
	if userns.Refused(err) && namespaces&unix.CLONE_NEWPID != 0 {
		// Is it that which is refused? If not, the error is the same again.
		c.Namespaces &^= unix.CLONE_NEWPID
		noPIDs = err
		monitor, err = spawn(c)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close(), feed.Close())
	}
	return &Spare{conn: conn, monitor: monitor, stdin: feed, noPIDs: noPIDs}, nil
}

// Discard ends a spare that is not needed.
func (s *Spare) Discard() {
	if s == nil {
		return
	}
	_ = s.conn.Close()
	_ = s.stdin.Close()
	_ = s.monitor.Kill()
	_, _ = s.monitor.Wait()
}
