package publish

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

// bounds reads "0.0.0.0:8080->80/tcp" and so on, one record each.
func bounds(t *testing.T, texts ...string) []Bound {
	t.Helper()
	var out []Bound
	for _, text := range texts {
		host, port, _ := strings.Cut(text, "->")
		exposed, err := ParseExposed([]string{port})
		if err != nil {
			t.Fatal(err)
		}
		h := netip.MustParseAddrPort(host)
		out = append(out, Bound{h.Addr(), h.Port(), exposed[0].Number, exposed[0].Protocol})
	}
	return out
}

// What Docker prints for the same ports (docker/cli, formatter/container_test.go
// has the like).
func TestColumn(t *testing.T) {
	for _, c := range []struct {
		bound   string
		exposed string
		want    string
	}{
		{"", "", ""},
		{"", "80", "80/tcp"},
		{"", "80 80/udp 81", "80-81/tcp, 80/udp"},
		{"0.0.0.0:8080->80/tcp [::]:8080->80/tcp", "80", "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"},
		{"[::]:8080->80/tcp 0.0.0.0:8080->80/tcp", "", "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"},
		{"0.0.0.0:80->80/tcp [::]:80->80/tcp", "", "0.0.0.0:80->80/tcp, [::]:80->80/tcp"},
		{"127.0.0.1:80->80/tcp", "443", "127.0.0.1:80->80/tcp, 443/tcp"},
		{
			"0.0.0.0:2000->2000/tcp 0.0.0.0:2001->2001/tcp 0.0.0.0:2002->2002/tcp", "",
			"0.0.0.0:2000-2002->2000-2002/tcp",
		},
		{
			"0.0.0.0:80->80/tcp 0.0.0.0:81->81/tcp [::]:80->80/tcp [::]:81->81/tcp", "",
			"0.0.0.0:80-81->80-81/tcp, [::]:80-81->80-81/tcp",
		},
		{"0.0.0.0:8000->80/tcp 0.0.0.0:8001->81/tcp", "", "0.0.0.0:8000->80/tcp, 0.0.0.0:8001->81/tcp"},
		{"0.0.0.0:9090->80/tcp", "9988", "9988/tcp, 0.0.0.0:9090->80/tcp"},
		{"0.0.0.0:80->80/tcp 0.0.0.0:80->80/udp", "", "0.0.0.0:80->80/tcp, 0.0.0.0:80->80/udp"},
		{"", "80 81 90 91", "80-81/tcp, 90-91/tcp"},
		{"0.0.0.0:80->80/tcp 0.0.0.0:82->82/tcp", "90", "0.0.0.0:80->80/tcp, 0.0.0.0:82->82/tcp, 90/tcp"},
	} {
		exposed, err := ParseExposed(strings.Fields(c.exposed))
		if err != nil {
			t.Fatal(err)
		}
		if got := Column(bounds(t, strings.Fields(c.bound)...), exposed); got != c.want {
			t.Errorf("Column(%q, %q) = %q, want %q", c.bound, c.exposed, got, c.want)
		}
	}
}

func TestLines(t *testing.T) {
	bound := bounds(t, "[::]:8080->80/tcp", "0.0.0.0:8443->443/tcp", "0.0.0.0:8080->80/tcp", "127.0.0.1:53->53/udp")
	want := []string{"53/udp -> 127.0.0.1:53", "80/tcp -> 0.0.0.0:8080", "80/tcp -> [::]:8080", "443/tcp -> 0.0.0.0:8443"}
	if got := Lines(bound); !reflect.DeepEqual(got, want) {
		t.Errorf("Lines = %q, want %q", got, want)
	}
	want = []string{"0.0.0.0:8080", "[::]:8080"}
	if got := Addresses(bound, Port{80, TCP}); !reflect.DeepEqual(got, want) {
		t.Errorf("Addresses = %q, want %q", got, want)
	}
	if got := Addresses(bound, Port{80, UDP}); got != nil {
		t.Errorf("Addresses of a port that is not published = %q", got)
	}
}

func TestBoundJSON(t *testing.T) {
	bound := bounds(t, "[::]:8080->80/tcp")
	text, err := json.Marshal(bound)
	if want := `[{"hostIP":"::","hostPort":8080,"container":80,"protocol":"tcp"}]`; err != nil || string(text) != want {
		t.Errorf("JSON %s, %v; want %s", text, err, want)
	}
	var back []Bound
	if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(back, bound) {
		t.Errorf("back from JSON: %v, %v", back, err)
	}
}
