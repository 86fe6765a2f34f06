package gate

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
)

// packets are headers as the kernel sends them.
var packets = map[string]string{
	"tcp 10.0.2.100 192.0.2.7:443":         "4500003c1c4640004006000" + "0" + "0a000264" + "c0000207" + "c00001bb00000000",
	"udp 10.0.2.100 192.0.2.7:53":          "4600003c1c4640004011000" + "0" + "0a000264" + "c0000207" + "01010101" + "c000003500100000", // with an option
	"icmp 10.0.2.100 192.0.2.7:0":          "4500003c1c4640004001000" + "0" + "0a000264" + "c0000207" + "0800000000010001",
	"tcp 10.0.2.100 192.0.2.7:0":           "4500003c1c4640004006000" + "0" + "0a000264" + "c0000207" + "c0", // cut off
	"protocol-132 10.0.2.100 192.0.2.7:0":  "4500003c1c4640004084000" + "0" + "0a000264" + "c0000207",
	"udp fd00::100 [2001:db8::5]:53":       "600000000010" + "1140" + "fd000000000000000000000000000100" + "20010db8000000000000000000000005" + "c000003500100000",
	"icmp fd00::100 [2001:db8::5]:0":       "600000000010" + "3a40" + "fd000000000000000000000000000100" + "20010db8000000000000000000000005" + "8000000000010001",
	"tcp 10.0.2.100 192.0.2.7:443 without": "",
}

func TestParse(t *testing.T) {
	for want, text := range packets {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		p, ok := parse(b)
		if len(b) == 0 {
			if ok {
				t.Errorf("nothing is %v", p)
			}
			continue
		}
		if got := strings.Join([]string{protocolName(p.protocol), p.from.String(), p.to.String()}, " "); !ok || got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if !p.answered() {
			t.Errorf("%s is not answered", want)
		}
	}
	for _, b := range []string{"45", "4500003c1c46400040060000", "60000000", "7500003c1c464000400600000a000264c0000207"} {
		raw, _ := hex.DecodeString(b)
		if p, ok := parse(raw); ok {
			t.Errorf("%s is %v", b, p)
		}
	}
}

func TestProhibition(t *testing.T) {
	b, _ := hex.DecodeString(packets["tcp 10.0.2.100 192.0.2.7:443"])
	p, _ := parse(b)
	p.readdress(netip.MustParseAddr("10.0.2.2"))
	m := p.prohibition()
	if m[0] != 3 || m[1] != 13 || checksum(m) != 0 || p.to.String() != "10.0.2.2:443" {
		t.Errorf("% x", m)
	}
	if quoted, ok := parse(m[8:]); !ok || quoted.to != p.to {
		t.Errorf("quotes %v", quoted)
	}
	b, _ = hex.DecodeString(packets["udp fd00::100 [2001:db8::5]:53"])
	p, _ = parse(b)
	if m := p.prohibition(); m[0] != 1 || m[1] != 1 || len(m) != 8+len(b) {
		t.Errorf("% x", m)
	}
	answer, _ := hex.DecodeString("4500003c1c46400040010000" + "0a000264" + "c0000207" + "0300000000010001")
	if p, ok := parse(answer); !ok || p.answered() {
		t.Error("an ICMP error is answered")
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range packets {
		b, _ := hex.DecodeString(text)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, ok := parse(b)
		if !ok {
			return
		}
		p.readdress(p.from)
		if p.to.Addr() != p.from || len(p.prohibition()) != len(b)+8 {
			t.Errorf("%v", p)
		}
	})
}
