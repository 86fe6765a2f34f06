package pull

import (
	"sync"
	"time"
)

// State is where a layer is on its way.
type State int

// The states of a layer, in their order up to Exists and Done, which are final.
// What is pushed is Fetching while it is sent.
const (
	Waiting   State = iota
	Fetching        // bytes come from the registry and are unpacked as they come
	Unpacking       // all bytes have come, unpacking or committing goes on
	Done
	Exists      // was in the store, or where it was to go
	Compressing // is made smaller before it is sent
)

// Event says how far one layer is.
type Event struct {
	Index   int    // of the layer, lowest first
	Layer   string // digest of the blob
	State   State
	Fetched int64 // bytes of the blob that have come
	Size    int64 // of the blob, in bytes
}

// eventGap keeps events below 20 in a second and layer.
const eventGap = 50 * time.Millisecond

// reporter passes events on, one at a time. A nil sink takes none.
type reporter struct {
	mu   sync.Mutex
	sink func(Event)
}

func (r *reporter) send(e Event) {
	if r.sink == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sink(e)
}

// progress is one layer's part of the report; it belongs to one goroutine at
// a time.
type progress struct {
	to   *reporter
	last Event
	sent time.Time
}

func (p *progress) state(s State) {
	p.last.State = s
	p.send()
}

// fetched counts n more bytes of the blob, and says so now and then.
func (p *progress) fetched(n int) {
	p.last.Fetched += int64(n)
	if time.Since(p.sent) >= eventGap {
		p.send()
	}
}

// elsewhere says how many bytes another process has of the blob that it fetches.
func (p *progress) elsewhere(bytes int64) {
	p.last.State, p.last.Fetched = Fetching, bytes
	if time.Since(p.sent) >= eventGap {
		p.send()
	}
}

func (p *progress) send() {
	p.sent = time.Now()
	p.to.send(p.last)
}
