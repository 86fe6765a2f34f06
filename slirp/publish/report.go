package publish

import (
	"sync"
	"time"
)

// reports passes each kind of trouble on once: a log that fills is another.
type reports struct {
	to   func(error)
	mu   sync.Mutex
	seen map[string]bool
}

func (r *reports) once(kind string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.to == nil || r.seen[kind] {
		return
	}
	if r.seen == nil {
		r.seen = map[string]bool{}
	}
	r.seen[kind] = true
	r.to(err)
}

// clock is the time, which tests make themselves.
type clock interface {
	now() time.Time
	// after calls f once d has passed, unless stop is called before.
	after(d time.Duration, f func()) (stop func() bool)
}

type systemClock struct{}

func (systemClock) now() time.Time { return time.Now() }

func (systemClock) after(d time.Duration, f func()) func() bool { return time.AfterFunc(d, f).Stop }
