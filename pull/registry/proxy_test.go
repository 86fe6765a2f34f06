package registry

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
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

// TestTLSMaterial speaks to a registry whose authority nobody knows but certs.d,
// and that wants to see a client certificate.
func TestTLSMaterial(t *testing.T) {
	certificate, key := selfSigned(t)
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(certificate)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are what the test wants
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: trusted}
	server.StartTLS()
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "https://")
	for name, c := range map[string]struct {
		tls  TLS
		good bool
	}{
		"nothing":        {TLS{}, false},
		"authority only": {TLS{CAs: [][]byte{certificate}}, false},
		"key only":       {TLS{Keys: []KeyPair{{certificate, key}}}, false},
		"both":           {TLS{CAs: [][]byte{certificate}, Keys: []KeyPair{{certificate, key}}}, true},
	} {
		err := CheckLogin(context.Background(), Config{Host: host, TLS: c.tls, RetryDelay: time.Millisecond})
		if (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// selfSigned is a certificate for this machine, its own authority.
func selfSigned(t *testing.T) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	text, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text})
}

// TestOverProxy: what is not on this machine is asked for over the proxy.
func TestOverProxy(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.Method+" "+r.URL.String()+r.Host)
		if r.Method == http.MethodConnect { // https goes first
			http.Error(w, "no", http.StatusMethodNotAllowed)
		}
	}))
	defer proxy.Close()
	c := Config{Host: "registry.example", Insecure: true, Proxy: Proxy{HTTP: proxy.URL, HTTPS: proxy.URL}, RetryDelay: time.Millisecond}
	if err := CheckLogin(context.Background(), c); err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.Contains(asked, "GET http://registry.example/v2/registry.example") {
		t.Errorf("the proxy was asked for %q", asked)
	}
}
