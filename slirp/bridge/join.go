package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/internal/linux"
	"rootlet/internal/stage"
	"rootlet/slirp/builtin"
)

// You come here from sandbox/membership.go, in a container's monitor.

// A Membership is a container's place in a network, for as long as it is open.
type Membership struct {
	Joined
	conn   *stage.Conn
	file   *os.File
	events chan<- Event
	in     chan error    // nil: the container is connected; else why it cannot be
	heard  chan struct{} // closed once nobody listens
	gone   bool          // valid after heard
	left   atomic.Bool   // it was closed: nobody is told of its end
}

// An Event is what has happened to a network.
type Event struct {
	Network string
	Text    string
	Lost    bool // it leads nowhere any more
	Gone    bool // nor is the place held: the Membership is of no more use
}

// joinWait bounds how long a holder may take to let one in. It reads no frame, so that
// nothing a container does can hold it up.
const joinWait = 10 * time.Second

// takenWait is how long one who wants an address waits for another to let it go: who
// has just left is perhaps not yet missed.
const takenWait = time.Second

// Join takes a place in a network. The network's process must be there: see Hold. What
// happens to the network is told to events, which must have room.
func (s Store) Join(network string, want Join, events chan<- Event) (*Membership, error) {
	for deadline := time.Now().Add(takenWait); ; time.Sleep(5 * time.Millisecond) {
		m, err := s.join(network, want, events)
		if taken := new(takenError); !errors.As(err, &taken) || time.Now().After(deadline) {
			return m, err
		}
	}
}

func (s Store) join(network string, want Join, events chan<- Event) (*Membership, error) {
	file, err := s.dial(network)
	if isAbsent(err) {
		err = errors.New("its process is not there")
	}
	if err != nil {
		return nil, fmt.Errorf("network %s: %w", network, err)
	}
	m := newMembership(file, events)
	m.conn.Deadline(time.Now().Add(joinWait))
	if err := m.conn.SendJSON(kindJoin, want); err != nil {
		return nil, errors.Join(fmt.Errorf("network %s: %w", network, err), m.conn.Close())
	}
	kind, text, err := m.conn.Recv()
	switch {
	case err == nil && kind == kindJoined:
		err = json.Unmarshal(text, &m.Joined)
	case err == nil && kind == kindTaken:
		err = &takenError{string(text)}
	case err == nil:
		err = errors.New(string(text))
	default:
		err = fmt.Errorf("network %s: %w", network, err)
	}
	if err != nil {
		_ = m.conn.Close()
		return nil, err
	}
	m.listen()
	return m, nil
}

func newMembership(file *os.File, events chan<- Event) *Membership {
	return &Membership{conn: stage.NewConn(file), file: file, events: events, in: make(chan error, 1)}
}

// Interface is the container's end of the network, under a name, as
// builtin.OpenInterface makes it. Where routes is false there are no default routes.
func (j Joined) Interface(name string, routes bool) builtin.Interface {
	mac, _ := net.ParseMAC(j.MAC)
	i := builtin.Interface{Name: name, MTU: j.MTU, MAC: string(mac), Address4: j.Address4, Address6: j.Address6}
	if routes && !j.Internal {
		i.Gateway4, i.Gateway6 = j.Gateway4, j.Gateway6
	}
	return i
}

// Plug connects the container: it hands the end of its interface over, and closes it,
// as it does the file that takes what its Egress refuses, which may be nil.
func (m *Membership) Plug(tap, refused *os.File) error {
	defer tap.Close()
	select {
	case <-m.in: // of an earlier life
	default:
	}
	if refused != nil {
		defer refused.Close()
		if err := m.conn.SendFile(kindRefusals, nil, refused); err != nil {
			return fmt.Errorf("network %s: %w", m.Network, err)
		}
	}
	if err := m.conn.SendFile(kindPlug, nil, tap); err != nil {
		return fmt.Errorf("network %s: %w", m.Network, err)
	}
	return nil
}

// Ready waits until the container is connected, and found by its names.
func (m *Membership) Ready(ctx context.Context) error {
	select {
	case err := <-m.in:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(joinWait):
		return fmt.Errorf("network %s: not connected within %v", m.Network, joinWait)
	}
}

// answer is what Ready says, whatever it was before.
func (m *Membership) answer(err error) {
	select {
	case <-m.in:
	default:
	}
	m.in <- err
}

// Unplug disconnects it; its addresses stay its own.
func (m *Membership) Unplug() { _ = m.conn.Send(kindUnplug, nil) }

// Also says in which other networks the container is, whose names it is to find too.
func (m *Membership) Also(networks []string) { _ = m.conn.SendJSON(kindAlso, networks) }

// Close gives the place up.
func (m *Membership) Close() error {
	m.left.Store(true)
	return m.conn.Close()
}

func (m *Membership) listen() {
	m.conn.Deadline(time.Time{})
	m.heard = make(chan struct{})
	go m.hear()
}

func (m *Membership) hear() {
	defer close(m.heard)
	for {
		kind, text, err := m.conn.Recv()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return // Hold
		case err != nil && m.left.Load():
			m.gone = true
			return
		case err != nil:
			m.gone = true
			m.answer(fmt.Errorf("the network %s is gone", m.Network))
			m.events <- Event{Network: m.Network, Text: fmt.Sprintf("the network %s is gone: its process has ended", m.Network), Lost: true, Gone: true}
			return
		case kind == kindPlugged:
			m.answer(nil)
		case kind == kindMended, kind == kindLost:
			if kind == kindLost {
				m.answer(errors.New(string(text)))
			}
			m.events <- Event{Network: m.Network, Text: string(text), Lost: kind == kindLost}
		}
	}
}

// Hold stops listening, with nothing heard by halves.
func (m *Membership) Hold() {
	m.conn.Deadline(time.Unix(1, 0))
	<-m.heard
}

// Release listens again.
func (m *Membership) Release() {
	if !m.gone {
		m.listen()
	}
}

// FD is the descriptor that must stay open for Resume.
func (m *Membership) FD() (int, error) { return linux.Descriptor(m.file) }

// Resume takes a place over in the process that its owner has become.
func Resume(j Joined, fd int, events chan<- Event) *Membership {
	_ = unix.SetNonblock(fd, true)
	file := os.NewFile(uintptr(fd), "network")
	m := newMembership(file, events)
	m.Joined = j
	m.listen()
	return m
}
