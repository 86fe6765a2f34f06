package egress

import (
	"encoding/json"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"rootlet/internal/iana"
)

// Bounds on what a container can have us remember.
const (
	mostAddresses = 10000 // of names
	mostRefusals  = 1000  // destinations
)

// leastHold is how long an address that was given for a name is good for at least:
// programs keep what they have looked up, and some names hold for no second.
const leastHold = 5 * time.Minute

// Policy decides for one container. Any number of goroutines may ask it.
type Policy struct {
	rules Rules
	now   func() time.Time
	file  io.WriterAt // of the refusals; nil: nobody reads them

	mu       sync.Mutex
	learned  map[netip.Addr]lease
	refusals map[key]*Refusal
	dropped  int // refusals of destinations beyond mostRefusals
	dirty    chan struct{}
	ended    chan struct{}
}

// lease is what an address was given for.
type lease struct {
	names   []string
	expires time.Time
}

// key is a destination.
type key struct {
	protocol string
	to       netip.AddrPort
	name     string
}

// Refusal is a destination that a container was kept from.
type Refusal struct {
	Protocol string    `json:"protocol"` // tcp, udp, icmp, or dns for a name that was not looked up
	Address  string    `json:"address,omitempty"`
	Port     uint16    `json:"port,omitempty"`
	Name     string    `json:"name,omitempty"` // that it was asked for, as far as that is known
	Count    int       `json:"count"`
	Last     time.Time `json:"last"`
}

// New begins to decide by rules. What is refused is written to file, within a tenth of a second.
func New(rules Rules, file io.WriterAt) *Policy {
	p := &Policy{
		rules: rules, now: time.Now, file: file, learned: map[netip.Addr]lease{}, refusals: map[key]*Refusal{},
		dirty: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	if file != nil {
		go p.write()
	}
	return p
}

// Connect decides about one connection, flow or echo.
func (p *Policy) Connect(protocol string, to netip.AddrPort) bool {
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rules.allowsAddress(to) {
		return true
	}
	l := p.learned[to.Addr()]
	if p.allowsNamed(to, l) {
		return true
	}
	p.refuse(key{protocol, to, l.lastName()})
	return false
}

// lastName is what the address was last given for, or empty.
func (l lease) lastName() string {
	if len(l.names) == 0 {
		return ""
	}
	return l.names[len(l.names)-1]
}

// allowsNamed decides by the names that the address was given for.
func (p *Policy) allowsNamed(to netip.AddrPort, l lease) bool {
	if p.now().After(l.expires) || iana.ClassOf(to.Addr()) != iana.Public {
		return false
	}
	for _, e := range p.rules.entries {
		if (to.Port() == 0 || e.hasPort(to.Port())) && slices.ContainsFunc(l.names, e.names) {
			return true
		}
	}
	return false
}

// Resolve decides whether a name may be looked up: who asks for one can tell its
// nameserver something.
func (p *Policy) Resolve(name string) bool {
	name = strings.ToLower(name)
	if p.rules.resolves(name) {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse(key{protocol: "dns", name: name})
	return false
}

// Resolved remembers the addresses that the container is given for a name.
func (p *Policy) Resolved(name string, addrs []netip.Addr, ttl time.Duration) {
	name = strings.ToLower(name)
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if len(p.learned) >= mostAddresses {
		p.forget(now)
	}
	for _, ip := range addrs {
		ip = ip.Unmap()
		l := p.learned[ip]
		if now.After(l.expires) {
			l.names = nil
		}
		if !slices.Contains(l.names, name) && len(l.names) < 16 {
			l.names = append(l.names, name)
		}
		if until := now.Add(max(ttl, leastHold)); until.After(l.expires) {
			l.expires = until
		}
		p.learned[ip] = l
	}
}

// forget makes room: what has expired goes, or else everything.
func (p *Policy) forget(now time.Time) {
	for ip, l := range p.learned {
		if now.After(l.expires) {
			delete(p.learned, ip)
		}
	}
	if len(p.learned) >= mostAddresses {
		clear(p.learned)
	}
}

// refuse counts.
func (p *Policy) refuse(k key) {
	r := p.refusals[k]
	if r == nil && len(p.refusals) >= mostRefusals {
		p.dropped++
		return
	}
	if r == nil {
		r = &Refusal{Protocol: k.protocol, Name: k.name}
		if k.to.IsValid() {
			r.Address, r.Port = k.to.Addr().String(), k.to.Port()
		}
		p.refusals[k] = r
	}
	r.Count++
	r.Last = p.now().UTC()
	select {
	case p.dirty <- struct{}{}:
	default:
	}
}

// writeEvery bounds how often the refusals are written, and so how old they are.
const writeEvery = 100 * time.Millisecond

func (p *Policy) write() {
	for {
		select {
		case <-p.dirty:
			p.save()
			time.Sleep(writeEvery)
		case <-p.ended:
			p.save()
			return
		}
	}
}

// Close writes what is left to write, once nobody asks any more.
func (p *Policy) Close() { close(p.ended) }

// save writes all refusals at once, over what was there: there are never fewer of
// them, nor shorter ones.
func (p *Policy) save() {
	p.mu.Lock()
	t := table{Dropped: p.dropped}
	for _, r := range p.refusals {
		t.Refused = append(t.Refused, *r)
	}
	p.mu.Unlock()
	slices.SortFunc(t.Refused, func(a, b Refusal) int { return a.Last.Compare(b.Last) })
	text, err := json.Marshal(t)
	if err == nil {
		_, _ = p.file.WriteAt(append(text, '\n'), 0)
	}
}

// table is the file.
type table struct {
	Refused []Refusal `json:"refused"`
	Dropped int       `json:"dropped,omitempty"`
}

// Read reads what a Policy has written: the refusals, the latest last, and the number
// of those to further destinations. A file that is being written is read again.
func Read(r io.ReaderAt) (refused []Refusal, dropped int, err error) {
	for range 10 {
		var t table
		d := json.NewDecoder(io.NewSectionReader(r, 0, maxTable))
		if err = d.Decode(&t); err == nil || err == io.EOF {
			return t.Refused, t.Dropped, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil, 0, err
}

// maxTable bounds what is read, in bytes: a thousand refusals of the longest names.
const maxTable = 1 << 20
