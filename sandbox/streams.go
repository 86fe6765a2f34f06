package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/internal/linux"
	"rootlet/internal/stage"
	"rootlet/sandbox/logfile"
	"rootlet/sandbox/rootfs"
)

// streams are the program's standard input and output: a terminal of the
// container's own, or pipes. A terminal of the user's is never handed in
// (CVE-2017-5226): what the program could do to it, it would do to his shell.
type streams struct {
	inside   [3]int    // descriptors for the first process, all above firstproc.ErrorFD
	stdin    *os.File  // what the program reads, written; nil without -i
	console  *os.File  // nil without -t
	terminal *terminal // its other end
	output   map[logfile.Stream]*os.File
	pumps    sync.WaitGroup
	last     atomic.Int64 // when output came last, in Unix nanoseconds
}

// openStreams opens the program's streams and its log.
func (m *monitor) openStreams() error {
	var err error
	if m.log, err = logfile.Create(m.container.Dir, m.Spec.Log, time.Now); err != nil {
		return err
	}
	m.streams = &streams{inside: [3]int{-1, -1, -1}, output: map[logfile.Stream]*os.File{}}
	if m.Spec.Process.TTY {
		return m.openConsole()
	}
	return m.streams.openPipes(m.Spec.Interactive)
}

// openPipes makes a pipe for each of the program's streams; for its standard
// input only where the user asked for one (-i).
func (s *streams) openPipes(interactive bool) error {
	in, err := os.Open(os.DevNull)
	if interactive {
		in, s.stdin, err = openPipe()
	}
	if err != nil {
		return err
	}
	err = s.give(0, in)
	in.Close()
	if err != nil {
		return err
	}
	for fd, name := range map[int]logfile.Stream{1: logfile.Stdout, 2: logfile.Stderr} {
		r, w, err := openPipe()
		if err != nil {
			return err
		}
		s.output[name] = r
		err = s.give(fd, w)
		w.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// openPipe makes a pipe that every user of the container can open anew, by
// /dev/stdout and the like: nobody comes to it but through one who has it.
func openPipe() (r, w *os.File, err error) {
	if r, w, err = os.Pipe(); err != nil {
		return nil, nil, err
	}
	if err := w.Chmod(0o666); err != nil {
		return nil, nil, errors.Join(err, r.Close(), w.Close())
	}
	return r, w, nil
}

// give duplicates f out of the way of the descriptors that firstproc sets.
func (s *streams) give(fd int, f *os.File) error {
	const aboveAll = 16
	n, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, aboveAll)
	if err != nil {
		return fmt.Errorf("duplicate descriptor %d: %w", fd, err)
	}
	s.inside[fd] = n
	return nil
}

// closeInside closes what is the first process's, once it has its own copies.
func (s *streams) closeInside() {
	for i, fd := range s.inside {
		if fd >= 0 {
			unix.Close(fd)
			s.inside[i] = -1
		}
	}
}

// openConsole makes a pseudoterminal in the container's own devpts. The other
// end is got from the first by descriptor and not by a path that an image could
// have a say in (TIOCGPTPEER, Linux 4.13; CVE-2025-52565).
func (m *monitor) openConsole() error {
	ptmx := filepath.Join(m.root.Path, "dev/pts/ptmx")
	fd, err := unix.Open(ptmx, unix.O_RDWR|unix.O_NOCTTY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open a terminal: %w", err)
	}
	s := m.streams
	s.console = os.NewFile(uintptr(fd), "console")
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return fmt.Errorf("unlock the terminal: %w", err)
	}
	peer, err := linux.PTYPeer(fd)
	if err != nil {
		return fmt.Errorf("open the terminal's other end: %w", err)
	}
	inside := os.NewFile(uintptr(peer), "terminal")
	defer inside.Close()
	if err := m.prepareTerminal(inside); err != nil {
		return err
	}
	s.terminal = new(terminal)
	if s.terminal.number, err = unix.IoctlGetInt(fd, unix.TIOCGPTN); err == nil {
		err = unix.Fstat(peer, &s.terminal.stat)
	}
	if err != nil {
		return fmt.Errorf("look at the terminal: %w", err)
	}
	for i := range s.inside {
		if err := s.give(i, inside); err != nil {
			return err
		}
	}
	if m.Spec.Interactive {
		s.stdin = s.console
	}
	s.output[logfile.Stdout] = s.console
	return nil
}

// prepareTerminal gives the terminal its user and size, and shows it as
// /dev/console.
func (m *monitor) prepareTerminal(inside *os.File) error {
	m.setSize(m.Size)
	if uid, ok := m.uids.toU1(m.who.UID); ok {
		if err := unix.Fchown(int(inside.Fd()), uid, -1); err != nil {
			return fmt.Errorf("give the terminal to user %d: %w", m.who.UID, err)
		}
	}
	return rootfs.BindConsole(m.root.Path, inside)
}

// setSize gives the container's terminal the size of a client's.
func (m *monitor) setSize(size Size) { setWindow(m.streams.console, size) }

// frames are the kinds in which output travels.
var frames = map[logfile.Stream]stage.Kind{logfile.Stdout: kindStdout, logfile.Stderr: kindStderr}

// closeOutput has the program's next write to a pipe fail, as it would in a
// shell's pipeline.
func (s *streams) closeOutput(kind stage.Kind) {
	for stream, from := range s.output {
		if frames[stream] == kind && from != s.console {
			_ = from.Close()
		}
	}
}

// start moves what the program writes to those who are attached, and into the log.
func (s *streams) start(to *audience, log *logfile.Writer) {
	for stream, from := range s.output {
		s.pumps.Go(func() { s.pump(from, stream, to, log) })
	}
}

// pump reads until the program and all it started have closed their end (a
// terminal then answers with EIO), or until it is held up.
func (s *streams) pump(from *os.File, stream logfile.Stream, to *audience, log *logfile.Writer) {
	buf := make([]byte, 64<<10) // as much as a pipe holds
	for {
		n, err := from.Read(buf)
		if n > 0 {
			s.last.Store(time.Now().UnixNano())
			log.Write(stream, buf[:n])
			to.send(frames[stream], buf[:n])
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		if err != nil {
			from.Close()
			return
		}
	}
}

// holdUp stops the pumps between two reads, so that nothing is on its way;
// start lets them go on.
func (s *streams) holdUp() {
	for _, from := range s.output {
		_ = from.SetReadDeadline(time.Unix(1, 0))
	}
	s.pumps.Wait()
	for _, from := range s.output {
		_ = from.SetReadDeadline(time.Time{})
	}
}

// dropStreams closes what no program has come to write to.
func (m *monitor) dropStreams() {
	for _, from := range m.streams.output {
		_ = from.Close()
	}
	_ = m.closeStreams()
}

// quietFor is how long to wait for nothing to have happened for d.
func (s *streams) quietFor(d time.Duration) time.Duration {
	last := s.last.Load()
	if last == 0 {
		return d
	}
	const turn = 20 * time.Millisecond // for what has woken us
	return max(d-time.Since(time.Unix(0, last)), turn)
}

// closeStreams waits for the last output and closes the log.
func (m *monitor) closeStreams() error {
	m.streams.pumps.Wait()
	if m.streams.stdin != nil {
		_ = m.streams.stdin.Close()
	}
	return m.log.Close()
}
