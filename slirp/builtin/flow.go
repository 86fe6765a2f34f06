package builtin

import (
	"container/list"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxFlows bounds the sockets that the container's datagrams hold open. The one
	// that was quiet for longest makes room.
	maxFlows = 2048
	// flowIdle is how long one is kept without a packet. RFC 4787 section 4.3 wants
	// two minutes at least of a NAT.
	flowIdle = 2 * time.Minute
)

// A flowKey names what belongs together: the datagrams between a port of the
// container and one elsewhere, or the echo requests with one identifier, which
// stands for the container's port.
type flowKey struct {
	protocol Protocol
	from, to netip.AddrPort
}

// A flow is a connected socket of the host.
type flow struct {
	key   flowKey
	file  *os.File
	raw   syscall.RawConn
	quote quote // of the packet it began with
	used  time.Time
	place *list.Element
}

// A flowTable has the flows, the last used in front.
type flowTable struct {
	now func() time.Time
	max int

	mu     sync.Mutex
	flows  map[flowKey]*flow
	order  *list.List
	closed bool
}

func newFlowTable(now func() time.Time) *flowTable {
	return &flowTable{now: now, max: maxFlows, flows: map[flowKey]*flow{}, order: list.New()}
}

// get finds a flow and marks it as used; nil is none.
func (t *flowTable) get(key flowKey) *flow {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.flows[key]
	if f != nil {
		t.touch(f)
	}
	return f
}

// use marks a flow as used.
func (t *flowTable) use(f *flow) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.place != nil {
		t.touch(f)
	}
}

func (t *flowTable) touch(f *flow) {
	f.used = t.now()
	t.order.MoveToFront(f.place)
}

// add takes a new flow in, and closes the oldest where there are too many. It is
// false for a table that is closed.
func (t *flowTable) add(f *flow) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	if old := t.flows[f.key]; old != nil {
		t.drop(old)
	}
	for len(t.flows) >= t.max {
		t.drop(t.order.Back().Value.(*flow))
	}
	f.used = t.now()
	f.place = t.order.PushFront(f)
	t.flows[f.key] = f
	return true
}

// remove closes a flow.
func (t *flowTable) remove(f *flow) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drop(f)
}

func (t *flowTable) drop(f *flow) {
	if f.place == nil {
		return
	}
	t.order.Remove(f.place)
	f.place = nil
	delete(t.flows, f.key)
	_ = f.file.Close() // which ends its reader
}

// expire closes what was not used for flowIdle.
func (t *flowTable) expire() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for before := t.now().Add(-flowIdle); t.order.Len() > 0; {
		oldest := t.order.Back().Value.(*flow)
		if !oldest.used.Before(before) {
			return
		}
		t.drop(oldest)
	}
}

// forget closes those of a container.
func (t *flowTable) forget(from netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, f := range t.flows {
		if key.from.Addr() == from {
			t.drop(f)
		}
	}
}

func (t *flowTable) closeAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for t.order.Len() > 0 {
		t.drop(t.order.Back().Value.(*flow))
	}
}

// write sends a datagram if the socket takes it at once; what it does not is lost.
// The error is what the host has heard of the flow.
func (f *flow) write(b []byte) error {
	var sent error
	err := f.raw.Control(func(fd uintptr) { _, sent = unix.Write(int(fd), b) })
	if err != nil || sent == unix.EAGAIN {
		return nil
	}
	return sent
}

// datagramBuffers have room for the longest.
var datagramBuffers = sync.Pool{New: func() any { b := make([]byte, packetMax); return &b }}

// read waits for a datagram and gives it to use. A buffer is held only once there
// is one, so that a thousand quiet flows cost little.
func (f *flow) read(use func([]byte)) error {
	var n int
	var fault error
	buf := (*[]byte)(nil)
	err := f.raw.Read(func(fd uintptr) bool {
		b := datagramBuffers.Get().(*[]byte)
		n, fault = unix.Read(int(fd), *b)
		if fault != nil {
			datagramBuffers.Put(b)
			return fault != unix.EAGAIN
		}
		buf = b
		return true
	})
	if err != nil || fault != nil {
		return firstError(err, fault)
	}
	use((*buf)[:n])
	datagramBuffers.Put(buf)
	return nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
