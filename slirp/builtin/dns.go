package builtin

import (
	"bytes"
	"context"
	"net/netip"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	dnsPort = 53
	// maxQueries bounds those that wait for a resolver.
	maxQueries = 256
	// hostsTTL is how long an answer from the hosts file holds, in seconds: as long
	// as a change of it may go unseen, more or less.
	hostsTTL = 5
)

// A relay answers the container's questions: from the host's hosts file, or with
// what the host's resolvers say, byte for byte.
type relay struct {
	directory Directory // of a Switch; may be nil
	resolvers func() []netip.AddrPort
	hosts     func() map[string][]netip.Addr
	slots     chan struct{}
	patience  time.Duration // with one resolver
}

func newRelay(o Options) *relay {
	r := &relay{slots: make(chan struct{}, maxQueries), patience: 2500 * time.Millisecond}
	hosts := &watched[map[string][]netip.Addr]{path: pathOr(o.Hosts, "/etc/hosts"), parse: parseHosts, now: time.Now}
	conf := &watched[[]netip.AddrPort]{path: pathOr(o.ResolvConf, "/etc/resolv.conf"), parse: parseResolvers, now: time.Now}
	r.hosts, r.resolvers = hosts.get, conf.get
	if len(o.DNS) > 0 {
		r.resolvers = func() []netip.AddrPort { return o.DNS }
	}
	return r
}

func pathOr(path, or string) string {
	if path == "" {
		return or
	}
	return path
}

// acquire takes a place among those who wait, if there is one.
func (r *relay) acquire() bool {
	select {
	case r.slots <- struct{}{}:
		return true
	default:
		return false
	}
}

func (r *relay) release() { <-r.slots }

// answer is nil for what is no question.
func (r *relay) answer(ctx context.Context, c client, network string, query []byte) []byte {
	head, q, ok := parseQuestion(query)
	if !ok {
		return nil
	}
	name := canonical(q.Name.String())
	if head.OpCode != 0 {
		return reply(head, q, dnsmessage.RCodeNotImplemented, nil)
	}
	if response := r.local(c, head, q, name); response != nil {
		return response
	}
	if !c.policy.Resolve(name) {
		return reply(head, q, dnsmessage.RCodeRefused, nil)
	}
	if known := r.hosts()[name]; known != nil && q.Class == dnsmessage.ClassINET &&
		(q.Type == dnsmessage.TypeA || q.Type == dnsmessage.TypeAAAA) {
		found := ofType(known, q.Type)
		if len(found) > 0 {
			c.policy.Resolved(name, found, hostsTTL*time.Second)
		}
		return reply(head, q, dnsmessage.RCodeSuccess, found)
	}
	servers := c.resolvers
	if len(servers) == 0 {
		servers = r.resolvers()
	}
	response := r.ask(ctx, servers, network, query)
	if response == nil {
		return reply(head, q, dnsmessage.RCodeServerFailure, nil)
	}
	if addrs, ttl := addressesIn(response, name); len(addrs) > 0 {
		c.policy.Resolved(name, addrs, ttl)
	}
	return response
}

// parseQuestion reads a message with one question, as all have that are asked.
func parseQuestion(query []byte) (head dnsmessage.Header, q dnsmessage.Question, ok bool) {
	var p dnsmessage.Parser
	head, err := p.Start(query)
	if err != nil || head.Response {
		return head, q, false
	}
	questions, err := p.AllQuestions()
	if err != nil || len(questions) != 1 {
		return head, q, false
	}
	return head, questions[0], true
}

func ofType(addrs []netip.Addr, kind dnsmessage.Type) (found []netip.Addr) {
	for _, ip := range addrs {
		if ip.Is4() == (kind == dnsmessage.TypeA) {
			found = append(found, ip)
		}
	}
	return found
}

// reply makes an answer of our own out of addresses.
func reply(to dnsmessage.Header, q dnsmessage.Question, code dnsmessage.RCode, addrs []netip.Addr) []byte {
	var bodies []dnsmessage.ResourceBody
	for _, ip := range addrs {
		if ip.Is4() {
			bodies = append(bodies, &dnsmessage.AResource{A: ip.As4()})
		} else {
			bodies = append(bodies, &dnsmessage.AAAAResource{AAAA: ip.As16()})
		}
	}
	return replyWith(to, q, code, bodies...)
}

func replyWith(to dnsmessage.Header, q dnsmessage.Question, code dnsmessage.RCode, bodies ...dnsmessage.ResourceBody) []byte {
	m := dnsmessage.Message{
		Header: dnsmessage.Header{
			ID: to.ID, Response: true, OpCode: to.OpCode, RecursionDesired: to.RecursionDesired,
			RecursionAvailable: true, RCode: code,
		},
		Questions: []dnsmessage.Question{q},
	}
	head := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: hostsTTL}
	for _, body := range bodies {
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: body})
	}
	packed, err := m.Pack()
	if err != nil {
		return nil
	}
	return packed
}

// aliasMax bounds a chain of aliases.
const aliasMax = 16

// addressesIn are those that a response gives for a name, through its aliases.
// What a resolver adds for other names does not count: it was not asked.
func addressesIn(response []byte, name string) (addrs []netip.Addr, ttl time.Duration) {
	records := map[string][]dnsmessage.Resource{}
	var p dnsmessage.Parser
	if head, err := p.Start(response); err != nil || head.RCode != dnsmessage.RCodeSuccess || p.SkipAllQuestions() != nil {
		return nil, 0
	}
	for {
		r, err := p.Answer()
		if err != nil {
			break // the end, or a record cut off
		}
		owner := canonical(r.Header.Name.String())
		records[owner] = append(records[owner], r)
	}
	least := uint32(1<<31 - 1)
	for range aliasMax {
		next := ""
		for _, r := range records[name] {
			switch body := r.Body.(type) {
			case *dnsmessage.AResource:
				addrs = append(addrs, netip.AddrFrom4(body.A))
			case *dnsmessage.AAAAResource:
				addrs = append(addrs, netip.AddrFrom16(body.AAAA))
			case *dnsmessage.CNAMEResource:
				next = canonical(body.CNAME.String())
			default:
				continue
			}
			least = min(least, r.Header.TTL)
		}
		if next == "" || len(addrs) > 0 {
			break
		}
		name = next
	}
	return addrs, time.Duration(least) * time.Second
}

// answers says whether a response is to a query: the same number and question,
// which a forger would have to guess (RFC 5452 section 9.1).
func answers(response, query []byte) bool {
	if len(response) < 12 || len(query) < 12 || !bytes.Equal(response[:2], query[:2]) {
		return false
	}
	var p dnsmessage.Parser
	head, err := p.Start(response)
	if err != nil || !head.Response {
		return false
	}
	got, err := p.AllQuestions()
	_, asked, ok := parseQuestion(query)
	if err != nil || !ok {
		return false
	}
	if len(got) == 0 {
		return head.RCode != dnsmessage.RCodeSuccess // some refuse without it
	}
	return got[0].Type == asked.Type && got[0].Class == asked.Class &&
		canonical(got[0].Name.String()) == canonical(asked.Name.String())
}
