package sandbox

import (
	"slices"
	"sync"

	"rootlet/internal/stage"
)

// post is what is on its way to one client. As long as the program runs it waits
// for the client, as in a shell's pipeline: nothing is lost, and little is kept.
// Once it has ended nobody waits any more: what a pipe still held is kept for as
// long as the client takes, be it stopped, while the container goes its way.
type post struct {
	conn *stage.Conn

	mu      sync.Mutex
	changed sync.Cond
	letters []letter
	hurried bool // nobody waits
	closed  bool // nothing more comes: close the connection behind the last
	gone    bool // the client is
}

type letter struct {
	kind    stage.Kind
	payload []byte
}

func newPost(conn *stage.Conn) *post {
	p := &post{conn: conn}
	p.changed.L = &p.mu
	return p
}

// send takes a letter, after the one before it is on its way unless in haste.
func (p *post) send(kind stage.Kind, payload []byte, inHaste bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.letters) > 0 && !inHaste && !p.hurried && !p.gone {
		p.changed.Wait()
	}
	if !p.gone {
		p.letters = append(p.letters, letter{kind, slices.Clone(payload)})
	}
	p.changed.Broadcast()
}

// set changes what is expected of the post.
func (p *post) set(what *bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	*what = true
	p.changed.Broadcast()
}

// deliver writes the letters until all are, or the client is gone.
func (p *post) deliver() {
	for {
		l, ok := p.next()
		if !ok {
			return
		}
		if err := p.conn.Send(l.kind, l.payload); err != nil {
			p.set(&p.gone)
		}
	}
}

func (p *post) next() (letter, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.letters) == 0 && !p.closed && !p.gone {
		p.changed.Wait()
	}
	if p.gone || len(p.letters) == 0 {
		if p.closed {
			_ = p.conn.Close()
		}
		return letter{}, false
	}
	l := p.letters[0]
	p.letters = p.letters[1:]
	p.changed.Broadcast()
	return l, true
}
