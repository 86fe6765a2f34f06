package bridge

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"

	"rootlet/internal/stage"
	"rootlet/slirp/builtin"
	"rootlet/slirp/egress"
)

// FuzzHolder holds that whatever its clients say, a network gives out what its switch
// takes, nothing twice, and has all of it back once they are gone.
func FuzzHolder(f *testing.F) {
	say := func(client byte, kind stage.Kind, text string) []byte {
		return append(binary.BigEndian.AppendUint32([]byte{byte(kind) | client<<6}, uint32(len(text))), text...)
	}
	join := func(client byte, text string) []byte { return say(client, kindJoin, text) }
	for _, frames := range [][][]byte{
		{join(0, `{"id":"0123456789abcdef","name":"a"}`), say(0, kindPlug, ""), say(1, kindLookup, `{"Name":"A"}`), join(1, `{"id":"1","name":"b"}`), say(1, kindPlug, "")},
		{join(0, `{"ip4":"10.9.0.7","ip6":"fd02::7","hardware":"52:55:0a:00:02:02"}`), join(1, `{"ip4":"10.9.0.7"}`)},
		{join(0, `{"hardware":"02:42:0a:09:00:02"}`), join(1, `{}`), join(1, `{}`), say(0, kindRefusals, ""), say(0, kindUnplug, "")},
		{join(0, `{"ip4":"fe80::1%eth0","ip6":"10.9.0.3","hardware":"ff:ff:ff:ff:ff:ff:ff:ff"}`), join(1, `{"ip4":"10.9.0.1","ip6":"::ffff:10.9.0.3"}`)},
		{join(0, `{"egress":["nonsense::"],"resolvers":["x"]}`), join(1, `{"egress":["10.0.0.0/8:80"],"resolvers":["[::1%0]:53"],"aliases":[""],"also":["n"]}`)},
		{say(0, kindRename, `{"ID":"","Name":"\u0000"}`), say(0, kindAlso, `["x"]`), say(1, kindPlugged, "")},
	} {
		var all []byte
		for _, one := range frames {
			all = append(all, one...)
		}
		f.Add(all)
	}
	network := Network{Name: "n", Subnet4: netip.MustParsePrefix("10.9.0.0/28"), Subnet6: netip.MustParsePrefix("fd02::/64")}
	network.Gateway4, network.Gateway6 = first(network.Subnet4), first(network.Subnet6)
	f.Fuzz(func(t *testing.T, said []byte) {
		h := &holder{task: task{Network: network}, leases: newLeases(network), names: newNames(nil), members: map[*stage.Conn]*member{}}
		h.sw = &switchProcess{conn: heard(t)}
		clients := [4]*stage.Conn{heard(t), heard(t), heard(t), heard(t)}
		for n := 0; len(said) >= 5 && n < 100; n++ {
			conn, kind := clients[said[0]>>6], stage.Kind(said[0]&63)
			size := int(min(binary.BigEndian.Uint32(said[1:]), uint32(len(said)-5)))
			var passed *os.File
			if size%2 == 0 {
				passed, _ = os.Open(os.DevNull)
			}
			if h.hear(conn, kind, said[5:5+size], passed) != nil {
				h.leave(conn)
			}
			checkMembers(t, h)
			said = said[5+size:]
		}
		for _, conn := range clients {
			h.leave(conn)
		}
		if len(h.leases.taken) != 2 || len(h.leases.macs) != 0 || len(h.names.members) != 0 || len(h.members) != 0 {
			t.Errorf("not given back: %v, %v, %v", h.leases.taken, h.leases.macs, h.names.members)
		}
	})
}

// heard is the end of a connection whose other end takes whatever is said.
func heard(t *testing.T) *stage.Conn {
	t.Helper()
	conn, theirs, err := stage.Pair()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(io.Discard, theirs)
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
		_ = theirs.Close()
	})
	return conn
}

func checkMembers(t *testing.T, h *holder) {
	t.Helper()
	taken := map[string]bool{}
	for _, m := range h.members {
		mac, err := net.ParseMAC(m.MAC)
		if err != nil || len(mac) != 6 || mac[0]&1 != 0 || string(mac) == builtin.GatewayMAC || taken[m.MAC] {
			t.Errorf("hardware address %q: %v", m.MAC, err)
		}
		taken[m.MAC] = true
		for _, ip := range m.addresses() {
			if taken[ip.String()] || !usable(h.Network.Subnet4, ip) && !usable(h.Network.Subnet6, ip) || ip == h.Network.Gateway4 || ip == h.Network.Gateway6 {
				t.Errorf("address %v of %+v", ip, h.Network)
			}
			taken[ip.String()] = true
		}
		if _, err := egress.Parse(m.Egress); err != nil {
			t.Error(err)
		}
	}
}
