package slirp

import (
	"io"
	"os"
)

// pipes join the helper to us. All ends are close-on-exec: the helper gets its own
// through the fork, and a container must not inherit one.
type pipes struct {
	ready  *os.File   // we read: configured
	alive  *os.File   // we hold: the helper ends when it is closed
	output *os.File   // we read: what it prints
	child  []*os.File // the helper's descriptors 0 to 4
	// configure does what a driver leaves to us once it is ready; may be nil.
	configure func() error
}

func openPipes() (p pipes, err error) {
	var opened []*os.File
	defer func() {
		if err != nil {
			closeAll(opened)
		}
	}()
	pair := func() (r, w *os.File) {
		if err != nil {
			return nil, nil
		}
		r, w, err = os.Pipe()
		opened = append(opened, r, w)
		return r, w
	}
	readyR, readyW := pair()
	aliveR, aliveW := pair()
	outR, outW := pair()
	if err != nil {
		return pipes{}, err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return pipes{}, err
	}
	return pipes{
		ready: readyR, alive: aliveW, output: outR,
		child: []*os.File{null, outW, outW, readyW, aliveR},
	}, nil
}

// close closes our ends.
func (p pipes) close() { closeAll([]*os.File{p.ready, p.alive, p.output}) }

// closeAll closes each file; one that stands twice is closed once, with no harm.
func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// drain reads what the helper prints until the last holder of the pipe is gone.
func drain(from *os.File, end *tail, log io.Writer) {
	defer from.Close()
	to := io.Writer(end)
	if log != nil {
		to = io.MultiWriter(end, log)
	}
	_, _ = io.Copy(to, from)
}
