package integration

import (
	"net"
	"sync/atomic"
	"testing"
)

// loopbackService answers on 127.0.0.1, and counts who came.
func loopbackService(t *testing.T) (tcp, udp string, reached func() int64) {
	t.Helper()
	var count atomic.Int64
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			count.Add(1)
			_, _ = c.Write([]byte(canaryText))
			c.Close()
		}
	}()
	p, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	go func() {
		buf := make([]byte, 100)
		for {
			_, from, err := p.ReadFrom(buf)
			if err != nil {
				return
			}
			count.Add(1)
			_, _ = p.WriteTo([]byte(canaryText), from)
		}
	}()
	_, tcp, _ = net.SplitHostPort(l.Addr().String())
	_, udp, _ = net.SplitHostPort(p.LocalAddr().String())
	return tcp, udp, count.Load
}
