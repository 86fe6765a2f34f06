package builtin

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/waiter"
)

// ask passes a query to one resolver after the other until one answers it. A
// resolver's own trouble is as good as silence while there is another to ask.
func (r *relay) ask(ctx context.Context, servers []netip.AddrPort, network string, query []byte) (last []byte) {
	for _, server := range servers {
		response := r.exchange(ctx, network, server, query)
		if response == nil {
			continue
		}
		last = response
		switch dnsmessage.RCode(response[3] & 0xf) {
		case dnsmessage.RCodeServerFailure, dnsmessage.RCodeRefused, dnsmessage.RCodeNotImplemented:
			continue
		}
		return response
	}
	return last
}

// exchange is nil where no answer came in time. Every query has a socket, and so a
// port, of its own.
func (r *relay) exchange(ctx context.Context, network string, server netip.AddrPort, query []byte) []byte {
	ctx, cancel := context.WithTimeout(ctx, r.patience)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, server.String())
	if err != nil {
		return nil
	}
	defer conn.Close()
	interrupt := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(past) })
	defer interrupt()
	if network == "tcp" {
		return exchangeTCP(conn, query)
	}
	return exchangeUDP(conn, query)
}

func exchangeUDP(conn net.Conn, query []byte) []byte {
	if _, err := conn.Write(query); err != nil {
		return nil
	}
	buf := datagramBuffers.Get().(*[]byte)
	defer datagramBuffers.Put(buf)
	for {
		n, err := conn.Read(*buf)
		if err != nil {
			return nil
		}
		if response := (*buf)[:n]; answers(response, query) {
			return slices.Clone(response)
		}
	}
}

func exchangeTCP(conn net.Conn, query []byte) []byte {
	if writeMessage(conn, query) != nil {
		return nil
	}
	response, err := readMessage(conn)
	if err != nil || !answers(response, query) {
		return nil
	}
	return response
}

// Over TCP each message follows its length (RFC 1035 section 4.2.2).

func writeMessage(w io.Writer, m []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(m)), uint16(len(m))), m...))
	return err
}

func readMessage(r io.Reader) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	m := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(r, m)
	return m, err
}

// serveQuery answers a question that came by UDP. Too many at once are dropped;
// who asks will ask again.
func (s *server) serveQuery(key flowKey, query []byte) {
	if !s.dns.acquire() {
		return
	}
	query = slices.Clone(query)
	s.spawn(func() {
		defer s.dns.release()
		if response := s.dns.answer(s.ctx, s.client(key.from.Addr()), "udp", query); response != nil {
			s.sendUDP(key.to, key.from, response)
		}
	})
}

// queryIdle is how long a connection to the nameserver may be silent (RFC 7766
// section 6.2.3 wants it in the order of seconds).
const queryIdle = 10 * time.Second

// serveTCPQueries answers questions on one connection, one after the other.
func (s *server) serveTCPQueries(c client, ep tcpip.Endpoint, queue *waiter.Queue) {
	s.dns.converse(s.ctx, c, gonet.NewTCPConn(queue, ep))
}

func (r *relay) converse(ctx context.Context, c client, conn net.Conn) {
	for ctx.Err() == nil {
		_ = conn.SetDeadline(time.Now().Add(queryIdle))
		query, err := readMessage(conn)
		if err != nil || !r.acquire() {
			return
		}
		response := r.answer(ctx, c, "tcp", query)
		r.release()
		if response == nil {
			return
		}
		_ = conn.SetDeadline(time.Now().Add(queryIdle))
		if writeMessage(conn, response) != nil {
			return
		}
	}
}
