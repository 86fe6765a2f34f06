package bridge

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/internal/linux"
	"rootlet/internal/stage"
	"rootlet/slirp/egress"
)

// You come here from guest.go, which started this stage. What the members send is moved
// by the process of switch.go, which is started here.

// holder is a network while somebody needs it. What it is belongs to one goroutine;
// others hand it their wishes over turns.
type holder struct {
	task
	listener *net.UnixListener
	leases   *leases
	names    *names
	members  map[*stage.Conn]*member
	clients  int            // members and all others who are connected
	sw       *switchProcess // nil: it died, and there is none
	mended   bool           // it is a successor
	turns    chan func()
	held     chan struct{}
}

// member is a container that is in.
type member struct {
	port
	conn    *stage.Conn
	tap     *os.File // nil: it has joined and is not connected
	refused *os.File
}

// listenerFD is behind the stage's socket.
const listenerFD = 4

// maxAsk bounds what a client can make us keep, in bytes.
const maxAsk = 256 << 10

// Hold is the stage. It returns the process's exit status.
func Hold() int {
	// A session that ends sends these to all; the containers in it may need the network
	// to end well, and it ends with them.
	signal.Ignore(unix.SIGTERM, unix.SIGHUP, unix.SIGINT)
	conn, err := stage.Inherited()
	if err != nil {
		return 1
	}
	h := &holder{members: map[*stage.Conn]*member{}, turns: make(chan func()), held: make(chan struct{})}
	if err := conn.RecvJSON(kindTask, &h.task); err != nil {
		return 1
	}
	_ = conn.Close()
	file := os.NewFile(listenerFD, "listener")
	l, err := net.FileListener(file)
	if err != nil {
		return 1
	}
	_ = file.Close()
	h.listener = l.(*net.UnixListener)
	h.leases, h.names = newLeases(h.Network), newNames(nil)
	go h.accept()
	time.AfterFunc(settled, linux.LetGoOfText)
	if h.sw, err = startSwitch(h.task, h.plugged); err != nil {
		h.tell(kindLost, err.Error())
	}
	h.live()
	return 0
}

// settled is when a start is over, and most of what it took of the binary not needed
// any more.
const settled = time.Second

// live takes turns until nobody is there any more.
func (h *holder) live() {
	nobody := time.After(joinWait) // who has started us died before he came
	for {
		select {
		case f := <-h.turns:
			f()
		case err := <-h.sw.ended():
			h.mend(err)
		case <-nobody:
		}
		if h.clients == 0 && h.end() {
			return
		}
	}
}

// end ends the network, unless somebody has come meanwhile: who wants it holds the
// lock while he connects.
func (h *holder) end() bool {
	turn, err := h.Store.lock(h.Network.Name)
	if err == nil {
		defer turn.Close()
	} // or it was removed
	_ = h.listener.SetDeadline(time.Unix(1, 0))
	for waiting := true; waiting; {
		select {
		case f := <-h.turns: // one who was let in just now
			f()
		case <-h.held:
			waiting = false
		}
	}
	if h.clients > 0 || h.knocked() {
		_ = h.listener.SetDeadline(time.Time{})
		go h.accept()
		return false
	}
	for _, path := range h.Store.sockets(h.Network.Name) {
		_ = os.Remove(path)
	}
	_ = h.listener.Close()
	h.sw.stop()
	return true
}

// knocked says that somebody waits to be let in.
func (h *holder) knocked() bool {
	raw, err := h.listener.SyscallConn()
	if err != nil {
		return false
	}
	n := 0
	err = raw.Control(func(fd uintptr) {
		n, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	})
	return err == nil && n > 0
}

// turn has the holder's goroutine call f, and waits until it has.
func (h *holder) turn(f func()) {
	done := make(chan struct{})
	h.turns <- func() { defer close(done); f() }
	<-done
}

// accept lets clients in until end holds it up.
func (h *holder) accept() {
	for {
		conn, err := h.listener.AcceptUnix()
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				h.held <- struct{}{}
				return
			}
			time.Sleep(100 * time.Millisecond) // no descriptor is free, most likely: one will be
			continue
		}
		if !linux.OwnPeer(conn) {
			_ = conn.Close()
			continue
		}
		h.turn(func() { h.clients++ })
		go func() {
			h.serve(conn)
			h.turn(func() { h.clients-- })
		}()
	}
}

// serve hears one client until it goes.
func (h *holder) serve(raw *net.UnixConn) {
	file, err := raw.File()
	_ = raw.Close()
	if err != nil {
		return
	}
	conn := stage.NewConn(file)
	defer conn.Close()
	conn.Limit(maxAsk)
	for {
		kind, payload, passed, err := conn.RecvFile()
		if err != nil {
			break
		}
		h.turn(func() { err = h.hear(conn, kind, payload, passed) })
		if err != nil {
			why := kindRefused
			if taken := new(takenError); errors.As(err, &taken) {
				why = kindTaken
			}
			_ = conn.Send(why, []byte(err.Error()))
			break
		}
	}
	h.turn(func() { h.leave(conn) })
}

// hear does what a client wants. An error is its last word.
func (h *holder) hear(conn *stage.Conn, kind stage.Kind, payload []byte, passed *os.File) error {
	m, keeps := h.members[conn], false
	defer func() {
		if !keeps {
			closeFile(passed)
		}
	}()
	switch {
	case kind == kindJoin && m == nil:
		return h.join(conn, payload)
	case kind == kindLookup:
		var l lookup
		if err := json.Unmarshal(payload, &l); err != nil {
			return err
		}
		found, _ := h.names.here(noAsker, l.Name)
		return conn.SendJSON(kindFound, found)
	case kind == kindRename:
		var r rename
		if err := json.Unmarshal(payload, &r); err != nil {
			return err
		}
		return h.rename(r)
	case m == nil:
		return fmt.Errorf("frame of kind %d from no member: this network was started by another version of rootlet", kind)
	case kind == kindAlso:
		if err := json.Unmarshal(payload, &m.Also); err != nil {
			return err
		}
		h.changed(m)
	case kind == kindRefusals && passed != nil:
		closeFile(m.refused)
		m.refused, keeps = passed, true
	case kind == kindPlug && passed != nil:
		h.unplug(m)
		m.tap, keeps = passed, true
		h.names.put(m.port)
		h.sw.plug(m)
	case kind == kindUnplug:
		h.unplug(m)
	}
	return nil
}

func (h *holder) join(conn *stage.Conn, payload []byte) error {
	if h.sw == nil {
		return fmt.Errorf("the network %s leads nowhere any more: stop its containers, and start them again", h.Network.Name)
	}
	m := &member{conn: conn}
	if err := json.Unmarshal(payload, &m.Join); err != nil {
		return err
	}
	_, err := egress.Parse(m.Egress) // the switch would end of one that cannot be read
	if err == nil {
		m.Joined, err = h.leases.take(m.Join)
	}
	if err != nil {
		return err
	}
	h.members[conn] = m
	return conn.SendJSON(kindJoined, m.Joined)
}

// leave is the end of a client, which may have been a member.
func (h *holder) leave(conn *stage.Conn) {
	m := h.members[conn]
	if m == nil {
		return
	}
	h.unplug(m)
	closeFile(m.refused)
	h.leases.giveBack(m.Joined)
	delete(h.members, conn)
}

// unplug lets go of a tap, with which its namespace goes.
func (h *holder) unplug(m *member) {
	if m.tap == nil {
		return
	}
	h.sw.unplug(m.MAC)
	h.names.remove(m.MAC)
	_ = m.tap.Close()
	m.tap = nil
}

// plugged tells a member that it is in. Its name is known, too.
func (h *holder) plugged(mac string) {
	h.turn(func() {
		for conn, m := range h.members {
			if m.MAC == mac {
				_ = conn.Send(kindPlugged, nil)
			}
		}
	})
}

func (h *holder) rename(r rename) error {
	for _, m := range h.members {
		if m.ID == r.ID {
			m.Name = r.Name
			h.changed(m)
		}
	}
	return nil
}

// changed passes on what a member is called now.
func (h *holder) changed(m *member) {
	if m.tap != nil {
		h.names.put(m.port)
		h.sw.rename(m.port)
	}
}

// mend starts another switch in the place of one that died, with the members' taps:
// connections between them are only late, those to the outside are gone. A successor that
// dies at once, as of a host in trouble, has none.
func (h *holder) mend(cause error) {
	again, born := h.mended, h.sw.born
	h.sw, h.mended = nil, true
	if again && time.Since(born) < mendAgain {
		h.tell(kindLost, fmt.Sprintf("the network %s is gone: %v", h.Network.Name, cause))
		return
	}
	var err error
	if h.sw, err = startSwitch(h.task, h.plugged); err != nil {
		h.tell(kindLost, fmt.Sprintf("the network %s is gone: %v; and cannot be started again: %v", h.Network.Name, cause, err))
		return
	}
	for _, m := range h.members {
		if m.tap != nil {
			h.sw.plug(m)
		}
	}
	h.tell(kindMended, fmt.Sprintf("the network %s was started again: %v", h.Network.Name, cause))
}

// mendAgain is how long a successor must have lived to have one.
const mendAgain = 5 * time.Second

// tell tells all members.
func (h *holder) tell(kind stage.Kind, text string) {
	for conn := range h.members {
		_ = conn.Send(kind, []byte(text))
	}
}

func closeFile(f *os.File) {
	if f != nil {
		_ = f.Close()
	}
}
