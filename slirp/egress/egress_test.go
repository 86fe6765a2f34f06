package egress

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestParseRefuses(t *testing.T) {
	for text, says := range map[string]string{
		"": "want a name", "none,public": "none allows nothing else", "a b.example": "no part of a name", "exa$mple.org": "no part of a name",
		"example.org:0": "want 1 to 65535", "example.org:70000": "want 1 to 65535", "example.org:90-80": "want 1 to 65535", "example.org:x": "want 1 to 65535",
		"10.0.0.256": "is no address", "1.2.3": "is no address", "2130706433": "is no address", "10.0.0.0/33": "no part of a name",
		"*.": "no part of a name", "a.*.example": "no part of a name", "..": "no part of a name", strings.Repeat("a.", 130) + "a": "want a name",
		"example.org,": "want a name", "[::1": "no part of a name",
	} {
		if _, err := Parse([]string{text}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q in it", text, err, says)
		}
	}
}

// given is what the container was told about names.
func given(p *Policy) {
	for name, ip := range map[string]string{
		"api.example.com": "93.184.216.34", "www.example.org": "93.184.216.35", "deep.www.example.org": "2606:4700::1", "inside.example.org": "10.1.2.3",
		"metadata.example.org": "169.254.169.254", "other.example.net": "93.184.216.36",
	} {
		p.Resolved(name, []netip.Addr{netip.MustParseAddr(ip)}, time.Minute)
	}
}

func TestConnect(t *testing.T) {
	to := netip.MustParseAddrPort
	for rules, wants := range map[string]map[string]bool{
		"none":   {"8.8.8.8:53": false, "93.184.216.34:443": false, "[2606:4700::1]:443": false, "10.0.2.2:80": false},
		"public": {"8.8.8.8:53": true, "10.1.2.3:80": false, "169.254.169.254:80": false, "[fd00::1]:80": false, "127.0.0.1:80": false, "[::ffff:10.0.0.1]:80": false, "[64:ff9b::a00:1]:80": false, "100.64.0.1:80": false, "192.168.1.1:443": false},
		"api.example.com:443,*.example.org": {
			"93.184.216.34:443": true, "93.184.216.34:80": false, "93.184.216.35:80": true, "[2606:4700::1]:22": true,
			"10.1.2.3:80": false, "169.254.169.254:80": false, // names of example.org's own choice
			"93.184.216.36:443": false, "8.8.8.8:53": false, "93.184.216.34:0": true, "93.184.216.36:0": false,
		},
		"10.1.0.0/16:5432,[2001:db8::5]:80-90,*:22": {
			"10.1.2.3:5432": true, "10.1.2.3:5433": false, "10.2.2.3:5432": false, "[2001:db8::5]:85": true, "[2001:db8::5]:91": false, "8.8.8.8:22": true, "[::ffff:10.1.2.3]:5432": true,
		},
		"public,10.1.2.3": {"10.1.2.3:1": true, "10.1.2.4:1": false, "1.1.1.1:443": true},
		"example.org":     {"93.184.216.35:80": false}, // not those below
	} {
		parsed, err := Parse([]string{rules})
		if err != nil {
			t.Fatal(err)
		}
		p := New(parsed, nil)
		given(p)
		for address, want := range wants {
			if got := p.Connect("tcp", to(address)); got != want {
				t.Errorf("%s: %s: %v", rules, address, got)
			}
		}
	}
}

func TestResolve(t *testing.T) {
	for rules, wants := range map[string]map[string]bool{
		"none":                          {"example.org": false},
		"public":                        {"example.org": true},
		"10.0.0.0/8":                    {"example.org": false},
		"*:443":                         {"example.org": true},
		"api.example.com,*.example.org": {"api.example.com": true, "API.Example.Com": true, "example.org": false, "a.example.org": true, "b.a.example.org": true, "aexample.org": false, "x.api.example.com": false},
	} {
		parsed, err := Parse(strings.Split(rules, ","))
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range wants {
			if got := New(parsed, nil).Resolve(name); got != want {
				t.Errorf("%s: %s: %v", rules, name, got)
			}
		}
	}
}

// An address is good for as long as its name holds, and not less than a program may
// keep it.
func TestNamesExpire(t *testing.T) {
	rules, err := Parse([]string{"api.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	p := New(rules, nil)
	now := time.Now()
	p.now = func() time.Time { return now }
	ip, to := netip.MustParseAddr("93.184.216.34"), netip.MustParseAddrPort("93.184.216.34:443")
	p.Resolved("api.example.com", []netip.Addr{ip}, time.Second)
	now = now.Add(leastHold - time.Second)
	if !p.Connect("tcp", to) {
		t.Error("forgotten too soon")
	}
	now = now.Add(2 * time.Second)
	if p.Connect("tcp", to) {
		t.Error("not forgotten")
	}
	// Then it may be another's.
	p.Resolved("other.example.net", []netip.Addr{ip}, time.Hour)
	if p.Connect("tcp", to) {
		t.Error("the name before still counts")
	}
}

func TestRefusalsAreListed(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "egress"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := New(Rules{}, f)
	p.Resolved("inside.example.org", []netip.Addr{netip.MustParseAddr("10.1.2.3")}, time.Minute)
	for range 3 {
		p.Connect("tcp", netip.MustParseAddrPort("10.1.2.3:22"))
	}
	p.Connect("udp", netip.MustParseAddrPort("8.8.8.8:53"))
	p.Resolve("secret.example.net")
	want := "tcp 10.1.2.3:22 inside.example.org 3, udp 8.8.8.8:53  1, dns :0 secret.example.net 1"
	got := ""
	for end := time.Now().Add(5 * time.Second); got != want && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		refused, _, err := Read(f)
		if err != nil {
			t.Fatal(err)
		}
		var list []string
		for _, r := range refused {
			list = append(list, fmt.Sprintf("%s %s:%d %s %d", r.Protocol, r.Address, r.Port, r.Name, r.Count))
		}
		got = strings.Join(list, ", ")
	}
	if got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// What a container does cannot fill our memory.
func TestBounds(t *testing.T) {
	p := New(Rules{}, nil)
	for i := range mostRefusals + 5 {
		p.Connect("tcp", netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 80))
	}
	for i := range mostAddresses + 5 {
		p.Resolved(fmt.Sprint("n", i), []netip.Addr{netip.AddrFrom4([4]byte{9, byte(i >> 16), byte(i >> 8), byte(i)})}, time.Minute)
	}
	for i := range 100 {
		p.Resolved(fmt.Sprint("m", i), []netip.Addr{netip.AddrFrom4([4]byte{8, 8, 8, 8})}, time.Minute)
	}
	if len(p.refusals) != mostRefusals || p.dropped != 5 || len(p.learned) > mostAddresses || len(p.learned[netip.AddrFrom4([4]byte{8, 8, 8, 8})].names) > 16 {
		t.Errorf("%d refusals, %d dropped, %d addresses", len(p.refusals), p.dropped, len(p.learned))
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"none", "public", "api.example.com:443", "*.example.org", "10.0.0.0/8:1-2", "[2001:db8::1]:80", "*:443", "[::]/0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Parse([]string{text})
		if err != nil {
			return
		}
		for _, e := range r.entries {
			if e.name == "" && !e.prefix.IsValid() || e.last < e.first {
				t.Errorf("%q: %+v", text, e)
			}
		}
		r.allowsAddress(netip.MustParseAddrPort("10.0.0.1:80"))
		r.resolves("example.org")
	})
}

// What the kernel is told to allow is what Connect allows.
func TestOpenings(t *testing.T) {
	rules, err := Parse([]string{"public,10.1.0.0/16:80-90,*:22,api.example.com:443,*.example.org,*.example.net"})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(rules.Openings(), rules.Public()); got != "[{10.1.0.0/16 {80 90}} {0.0.0.0/0 {22 22}} {::/0 {22 22}}] true" {
		t.Error(got)
	}
	if got := fmt.Sprint(rules.NamedPorts()); got != "[{443 443} {0 65535}]" {
		t.Error(got)
	}
	p := New(rules, nil)
	p.now = func() time.Time { return time.Unix(1000, 0) }
	for name, want := range map[string]string{
		"api.example.com": "[{93.184.216.34 {443 443}}]", "a.example.org": "[{93.184.216.34 {443 443}} {93.184.216.34 {0 65535}}]", "other.example": "[]",
	} {
		var got []string
		for _, o := range p.ResolvedTo(name, []netip.Addr{netip.MustParseAddr("10.9.9.9"), netip.MustParseAddr("127.0.0.1")}, time.Minute) {
			t.Errorf("%s opens %v", name, o)
		}
		p.learned = map[netip.Addr]lease{}
		if name == "a.example.org" { // an address of two names
			p.Resolved("api.example.com", []netip.Addr{netip.MustParseAddr("93.184.216.34")}, time.Minute)
		}
		for _, o := range p.ResolvedTo(name, []netip.Addr{netip.MustParseAddr("93.184.216.34")}, time.Hour) {
			got = append(got, fmt.Sprint("{", o.IP, " ", o.Ports, "}"))
			if !o.Until.Equal(time.Unix(4600, 0)) {
				t.Errorf("%s until %v", name, o.Until)
			}
		}
		if fmt.Sprint(got) != want {
			t.Errorf("%s opens %v, want %s", name, got, want)
		}
	}
}

func TestRefusedNamesTheName(t *testing.T) {
	p := New(Rules{}, nil)
	p.Resolved("api.example.com", []netip.Addr{netip.MustParseAddr("93.184.216.34")}, time.Minute)
	p.Refused("tcp", netip.MustParseAddrPort("93.184.216.34:22"))
	p.Refused("tcp", netip.MustParseAddrPort("93.184.216.34:22"))
	for _, r := range p.refusals {
		if r.Name != "api.example.com" || r.Count != 2 {
			t.Error(*r)
		}
	}
}
