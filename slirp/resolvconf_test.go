package slirp

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"rootlet/internal/testenv"
)

const hostResolv = `# written by something
domain old.example
search corp.example  lab.example.
nameserver 192.0.2.53
nameserver fe80::1%eth0
;nameserver 192.0.2.99
options edns0 trust-ad
options ndots:2
sortlist 192.0.2.0
nameserver nonsense
`

func TestResolvConf(t *testing.T) {
	for name, c := range map[string]ResolvConfig{
		"slirp":         {Host: []byte(hostResolv), Nameserver: Settings{}.NameserverIP()},
		"slirp-dns":     {Host: []byte(hostResolv), Nameserver: Settings{}.NameserverIP(), DNS: addrs("1.1.1.1", "2001:db8::53")},
		"slirp-search":  {Host: []byte(hostResolv), Nameserver: Settings{}.NameserverIP(), Search: []string{"a.example", "b.example."}},
		"slirp-nowhere": {Host: []byte(hostResolv), Nameserver: Settings{}.NameserverIP(), Search: []string{NoSearch}},
		"slirp-empty":   {Nameserver: Settings{}.NameserverIP()},
		"host":          {Host: []byte(hostResolv)},
		"host-dns":      {Host: []byte(hostResolv), DNS: addrs("1.1.1.1")},
		"host-search":   {Host: []byte(hostResolv), Search: []string{"a.example"}},
		"none":          {Host: []byte(hostResolv), Isolated: true},
		"none-dns":      {Host: []byte(hostResolv), Isolated: true, DNS: addrs("1.1.1.1"), Search: []string{"a.example"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ResolvConf(c)
			if err != nil {
				t.Fatal(err)
			}
			testenv.Golden(t, name+".resolv", string(got))
		})
	}
}

func TestResolvConfRefuses(t *testing.T) {
	for _, name := range []string{"", "a b", "a\nnameserver 6.6.6.6", "a..b", "a\x00"} {
		if got, err := ResolvConf(ResolvConfig{Search: []string{name}}); err == nil {
			t.Errorf("%q: %q, want an error", name, got)
		}
	}
}

func TestParseDNS(t *testing.T) {
	for _, value := range []string{"1.1.1.1", "2001:db8::53"} {
		if got, err := ParseDNS(value); err != nil || got.String() != value {
			t.Errorf("%q: %v, %v", value, got, err)
		}
	}
	for _, value := range []string{"", "dns.example", "1.1.1", "1.1.1.1:53", "[::1]", "fe80::1%eth0", "1.1.1.1\n"} {
		if got, err := ParseDNS(value); err == nil {
			t.Errorf("%q: %v, want an error", value, got)
		}
	}
}

func TestParseDNSSearch(t *testing.T) {
	for value, want := range map[string]string{".": ".", "a.example": "a.example", "a.example.": "a.example", "_tcp.example": "_tcp.example"} {
		if got, err := ParseDNSSearch(value); err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", value, got, err, want)
		}
	}
	for _, value := range []string{"", "..", "a b", "a\n", ".a", strings.Repeat("a.", 127) + "abc"} {
		if got, err := ParseDNSSearch(value); err == nil {
			t.Errorf("%q: %q, want an error", value, got)
		}
	}
}

func TestHostResolvConf(t *testing.T) {
	for name, want := range map[string]bool{"/etc/resolv.conf": true, "/etc/../usr": false, "/nonexistent": false} {
		if name == "/etc/resolv.conf" {
			if content, err := readHostFile(name); err != nil || content == nil {
				continue // not on every host
			}
		}
		if got := inSandbox(name); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	if content, err := readHostFile("/nonexistent"); content != nil || err != nil {
		t.Errorf("a missing file: %q, %v", content, err)
	}
}

// FuzzResolvConf feeds the reader anything: each line that comes out must be of a
// known kind and printable, and reading it again must change nothing.
func FuzzResolvConf(f *testing.F) {
	f.Add([]byte(hostResolv))
	f.Add([]byte("search a\x00b c\roptions x\x1b[31m\nnameserver ::1%a\xff\n"))
	f.Add([]byte("nameserver\n#\n;;\noptions\nsearch .\n\n  nameserver\t1.1.1.1 2.2.2.2"))
	f.Fuzz(func(t *testing.T, host []byte) {
		out, err := ResolvConf(ResolvConfig{Host: host, Nameserver: Settings{}.NameserverIP()})
		if err != nil {
			t.Fatal(err)
		}
		var nameservers []string
		for line := range strings.Lines(string(out)) {
			kind, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			if kind != "search" && kind != "nameserver" && kind != "options" || !plain(strings.ReplaceAll(rest, " ", "")) {
				t.Errorf("line %q", line)
			}
			if kind == "nameserver" {
				nameservers = append(nameservers, rest)
			}
		}
		if !slices.Equal(nameservers, []string{Settings{}.NameserverIP().String()}) {
			t.Errorf("nameservers %q", nameservers)
		}
		whole := parseResolv(host).format()
		if again := parseResolv(whole).format(); !bytes.Equal(whole, again) {
			t.Errorf("%q became %q", whole, again)
		}
		for _, ip := range parseResolv(host).nameservers {
			if _, err := netip.ParseAddr(ip); err != nil {
				t.Error(err)
			}
		}
	})
}
