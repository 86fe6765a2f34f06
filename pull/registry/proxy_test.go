package registry

import (
	"net/url"
	"strings"
	"testing"
)

func TestProxyFor(t *testing.T) {
	const proxy = "http://proxy.example:3128"
	cases := []struct {
		p    Proxy
		url  string
		want string
	}{
		{Proxy{}, "https://a.example/", ""},
		{Proxy{HTTPS: proxy}, "https://a.example/", proxy},
		{Proxy{HTTPS: proxy}, "http://a.example/", ""},
		{Proxy{HTTP: proxy}, "http://a.example/", proxy},
		{Proxy{HTTPS: "proxy.example:3128"}, "https://a.example/", proxy},
		{Proxy{HTTPS: "socks5://p:1080"}, "https://a.example/", "socks5://p:1080"},
		{Proxy{HTTP: proxy}, "http://localhost:5000/", ""},
		{Proxy{HTTP: proxy}, "http://127.0.0.1/", ""},
		{Proxy{HTTP: proxy}, "http://[::1]:5000/", ""},
		{Proxy{HTTPS: proxy, No: "*"}, "https://a.example/", ""},
		{Proxy{HTTPS: proxy, No: "a.example"}, "https://a.example/", ""},
		{Proxy{HTTPS: proxy, No: "A.Example"}, "https://b.a.example:5000/", ""},
		{Proxy{HTTPS: proxy, No: "example"}, "https://notexample/", proxy},
		{Proxy{HTTPS: proxy, No: ".example"}, "https://a.example/", ""},
		{Proxy{HTTPS: proxy, No: ".a.example"}, "https://a.example/", proxy},
		{Proxy{HTTPS: proxy, No: "*.example"}, "https://a.example/", ""},
		{Proxy{HTTPS: proxy, No: "b.example, a.example:443"}, "https://a.example/", ""},
		{Proxy{HTTPS: proxy, No: "a.example:5000"}, "https://a.example/", proxy},
		{Proxy{HTTPS: proxy, No: "10.0.0.0/8"}, "https://10.1.2.3:5000/", ""},
		{Proxy{HTTPS: proxy, No: "10.0.0.0/8"}, "https://11.1.2.3/", proxy},
		{Proxy{HTTPS: proxy, No: "10.1.2.3"}, "https://10.1.2.3:5000/", ""},
		{Proxy{HTTPS: proxy, No: "fd00::1"}, "https://[fd00::1]:5000/", ""},
		{Proxy{HTTPS: proxy, No: "[fd00::1]:5000"}, "https://[fd00::1]:5000/", ""},
	}
	for _, c := range cases {
		u, err := url.Parse(c.url)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.p.For(u)
		if err != nil {
			t.Errorf("%+v, %s: %v", c.p, c.url, err)
			continue
		}
		text := ""
		if got != nil {
			text = got.String()
		}
		if text != c.want {
			t.Errorf("%+v, %s: %q, want %q", c.p, c.url, text, c.want)
		}
	}
}

func TestProxyWithoutSense(t *testing.T) {
	u, _ := url.Parse("https://a.example/")
	for _, bad := range []string{"ftp://user:secret@p.example", "://x", "http://", "a b"} {
		p, err := Proxy{HTTPS: bad}.For(u)
		if err == nil {
			t.Errorf("%q: %v", bad, p)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("a password shows: %v", err)
		}
	}
}

func TestProxyFrom(t *testing.T) {
	env := map[string]string{"HTTPS_PROXY": "upper", "https_proxy": "lower", "HTTP_PROXY": "upper", "no_proxy": "x"}
	got := ProxyFrom(func(name string) string { return env[name] })
	if want := (Proxy{HTTP: "upper", HTTPS: "lower", No: "x"}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestTLSConfigRefuses(t *testing.T) {
	for name, c := range map[string]TLS{
		"authority": {CAs: [][]byte{[]byte("no PEM")}},
		"pair":      {Keys: []KeyPair{{Certificate: []byte("x"), Key: []byte("y")}}},
	} {
		if _, err := (Config{Host: "a.example", TLS: c}).tlsConfig(); err == nil || !strings.Contains(err.Error(), "a.example") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
