package sandbox

import (
	"encoding/json"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"rootlet/internal/stage"
)

// audience are the clients that are attached to the program. Any goroutine may
// use it.
type audience struct {
	mu  sync.Mutex
	all []*attached
	// feeding counts those whose input is on its way to the program still, and
	// posting those who have not got all that is theirs.
	feeding, posting atomic.Int32
	posts            sync.WaitGroup
}

// attached is one client, who reads at its own pace: see post.
type attached struct {
	conn   *stage.Conn
	post   *post
	output bool
	mu     sync.Mutex
	unread map[stage.Kind]bool // output that it does not want any more
}

func (a *audience) add(c *attached) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, c)
	a.posting.Add(1)
	a.posts.Go(func() {
		defer a.posting.Add(-1)
		c.post.deliver()
	})
}

// drop forgets a client. That of one is no news to the others.
func (a *audience) drop(c *attached) {
	c.post.set(&c.post.gone)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = slices.DeleteFunc(a.all, func(other *attached) bool { return other == c })
}

func (a *audience) now() []*attached {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.all)
}

// quiet reports whether nobody is attached and nothing is on its way.
func (a *audience) quiet() bool {
	return len(a.now()) == 0 && a.feeding.Load() == 0 && a.posting.Load() == 0
}

// hurry has nobody wait for a client any more.
func (a *audience) hurry() {
	for _, c := range a.now() {
		c.post.set(&c.post.hurried)
	}
}

// wait stays until every client has got what is its own, or is gone.
func (a *audience) wait() { a.posts.Wait() }

// send shows everybody what the program wrote. A client that is gone is
// forgotten by the goroutine that reads from it.
func (a *audience) send(kind stage.Kind, payload []byte) {
	for _, c := range a.now() {
		if c.wants(kind) {
			c.post.send(kind, payload, false)
		}
	}
}

func (c *attached) wants(kind stage.Kind) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.output && !c.unread[kind]
}

// dismiss tells everybody how the program ended.
func (a *audience) dismiss(kind stage.Kind, payload []byte) {
	a.mu.Lock()
	all := a.all
	a.all = nil
	a.mu.Unlock()
	for _, c := range all {
		c.post.send(kind, payload, true)
		c.post.set(&c.post.closed)
	}
}

// admit attaches a client to the program that runs, and reads what it says until
// it goes away. stdin is the pipe that its input comes through, nil without.
func (m *monitor) admit(conn *stage.Conn, want Attach, stdin *os.File) *attached {
	c := &attached{conn: conn, post: newPost(conn), output: want.Output, unread: map[stage.Kind]bool{}}
	m.audience.add(c)
	if want.Stdin && stdin != nil && m.streams.stdin != nil {
		m.audience.feeding.Add(1)
		to, once := m.streams.stdin, !m.Spec.Detached && !m.Spec.Process.TTY
		go func() {
			defer m.audience.feeding.Add(-1)
			_, _ = io.Copy(to, stdin)
			stdin.Close()
			if once { // as Docker's StdinOnce: the first who comes to his end ends it
				to.Close()
			}
		}()
	}
	return c
}

// attend handles what an attached client says, until it goes away.
func (m *monitor) attend(c *attached) {
	defer m.audience.drop(c)
	for {
		kind, payload, err := c.conn.Recv()
		if err != nil {
			return
		}
		m.hear(c, kind, payload)
	}
}

func (m *monitor) hear(c *attached, kind stage.Kind, payload []byte) {
	switch kind {
	case kindResize:
		var size Size
		if json.Unmarshal(payload, &size) == nil {
			m.turn(func() { m.setSize(size) })
		}
	case kindSignal:
		if len(payload) == 1 {
			m.turn(func() { m.signalled(int(payload[0])) })
		}
	case kindUnread:
		if len(payload) != 1 {
			return
		}
		c.mu.Lock()
		c.unread[stage.Kind(payload[0])] = true
		c.mu.Unlock()
		// Alone with a program in the foreground, it is the end of a pipeline.
		if !m.Spec.Detached && len(m.audience.now()) == 1 {
			m.turn(func() { m.streams.closeOutput(stage.Kind(payload[0])) })
		}
	}
}
