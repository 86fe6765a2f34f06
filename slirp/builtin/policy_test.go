package builtin

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func TestPolicyRefuses(t *testing.T) {
	needHost(t)
	for _, ip := range []netip.Addr{hostIP, hostIP6} {
		accepted := make(chan struct{}, 10)
		tcpTo := listen(t, ip, func(*net.TCPConn) { accepted <- struct{}{} })
		udpTo, heard := echoUDP(t, ip)
		policy := &asked{refuse: func(Connect) bool { return true }}
		c := network(t, func(o *Options) { o.Policy, o.Hosts = policy, os.DevNull })
		want := []unix.Errno{unix.EHOSTUNREACH, unix.EACCES} // IPv4's and IPv6's
		if _, err := c.dial("tcp", tcpTo); !isErrno(err, want...) {
			t.Errorf("TCP: %s", describe(err))
		}
		if err := ask(c, udpTo); !isErrno(err, want...) {
			t.Errorf("UDP: %s", describe(err))
		}
		if err := ping(c, ip, 8); !isErrno(err, want...) {
			t.Errorf("ping: %s", describe(err))
		}
		if len(accepted) > 0 || heard.Load() > 0 {
			t.Error("something came through")
		}
		for _, c := range []Connect{{TCP, tcpTo}, {UDP, udpTo}, {ICMP, netip.AddrPortFrom(ip, 0)}} {
			if !slices.Contains(policy.seen(), c) {
				t.Errorf("not asked about %v, but %v", c, policy.seen())
			}
		}
	}
}

func TestPolicyDecidesByPort(t *testing.T) {
	needHost(t)
	good, bad := listen(t, hostIP, func(*net.TCPConn) {}), listen(t, hostIP, func(*net.TCPConn) {})
	policy := &asked{refuse: func(c Connect) bool { return c.To == bad }}
	c := network(t, func(o *Options) { o.Policy = policy })
	if _, err := c.dial("tcp", good); err != nil {
		t.Error(err)
	}
	if _, err := c.dial("tcp", bad); !isErrno(err, unix.EHOSTUNREACH) {
		t.Errorf("%s, want a refusal", describe(err))
	}
}
