package integration

import (
	"archive/zip"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rootlet/internal/testenv"
)

// TestPackageManagers: under each driver pip, npm and go fetch a package from where this
// machine is set up to get them. They are the machine's own programs, in a container that
// has its /usr. (apt is in TestDebian, which has a Debian of its own.)
func TestPackageManagers(t *testing.T) {
	testenv.NeedSubIDs(t) // once is enough, and this the user with the most to go wrong
	settings := registrySettings(t)
	for _, program := range []string{"npm", "/usr/bin/pip3"} {
		testenv.NeedProgram(t, program)
	}
	p, image := someone(t, "hostusr")
	p.rootlet("pull", image)
	index := startPipIndex(t)
	fetch := []struct{ name, command, want string }{
		{"pip", "pip3 install --no-cache-dir --no-deps --target /tmp/lib " + index.arguments(settings) + " && ls /tmp/lib", index.wheel(settings)},
		{"npm", "npm install --silent --no-audit --no-fund --prefix /tmp/x is-odd@3.0.1 && ls /tmp/x/node_modules", "is-number\nis-odd\n"},
		{"go", "/goroot/bin/go mod download -modcacherw -json golang.org/x/sync@v0.22.0", `"Sum": "h1:`},
	}
	for _, driver := range drivers {
		if driver != "builtin" {
			testenv.NeedProgram(t, driver)
		}
		args := []string{
			"run", "--rm", "--network", driver, "-v", "/usr:/usr:ro", "-v", "/etc/ssl:/etc/ssl:ro", "-v", "/etc/alternatives:/etc/alternatives:ro",
			"-v", settings["GOROOT"] + ":/goroot:ro", "-e", "HOME=/tmp", "-e", "GOTOOLCHAIN=local", "-w", "/tmp",
		}
		for key, value := range settings {
			if key != "GOROOT" {
				args = append(args, "-e", key+"="+value)
			}
		}
		for _, f := range fetch {
			t.Run(driver+"/"+f.name, func(t *testing.T) {
				stdout, stderr, code := p.in(t).try(append(args[:len(args):len(args)], image, "sh", "-c", f.command)...)
				if code != 0 || !strings.Contains(stdout, f.want) {
					t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
				}
			})
		}
	}
}

// registrySettings are what .ci/registries has written down.
func registrySettings(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(os.Getenv("ROOTLET_TEST_CACHE"), "registries"))
	if err != nil {
		testenv.Skip(t, "the machine's registries: .ci/registries /var/cache/rootlet-test, and ROOTLET_TEST_CACHE set to that")
	}
	settings := map[string]string{}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if value != "" {
			settings[key] = value
		}
	}
	return settings
}

// pipIndex is an index of Python packages with one of its own, outside of the loopback,
// for a machine that has none set up: the public one may be out of reach.
type pipIndex struct{ address string }

const pipWheel = "rootlet_fetched-1.0-py3-none-any.whl"

func startPipIndex(t *testing.T) pipIndex {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(outerAddress(t), "0"))
	if err != nil {
		t.Fatal(err)
	}
	wheel := makeWheel(t)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ".whl") {
			_, _ = w.Write(wheel)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<a href="/%s">%s</a>`, pipWheel, pipWheel)
	}))
	server.Listener.Close()
	server.Listener = l
	server.Start()
	t.Cleanup(server.Close)
	return pipIndex{l.Addr().String()}
}

func (i pipIndex) arguments(settings map[string]string) string {
	if settings["PIP_INDEX_URL"] != "" {
		return "six"
	}
	host, _, _ := net.SplitHostPort(i.address)
	return fmt.Sprintf("--index-url http://%s/simple --trusted-host %s rootlet-fetched", i.address, host)
}

func (i pipIndex) wheel(settings map[string]string) string {
	if settings["PIP_INDEX_URL"] != "" {
		return "six.py"
	}
	return "rootlet_fetched.py"
}

// makeWheel is the smallest that pip takes (PEP 427).
func makeWheel(t *testing.T) []byte {
	t.Helper()
	const info = "rootlet_fetched-1.0.dist-info/"
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range [][2]string{
		{"rootlet_fetched.py", ""},
		{info + "METADATA", "Metadata-Version: 2.1\nName: rootlet-fetched\nVersion: 1.0\n"},
		{info + "WHEEL", "Wheel-Version: 1.0\nGenerator: rootlet\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
		{info + "RECORD", "rootlet_fetched.py,,\n" + info + "METADATA,,\n" + info + "WHEEL,,\n" + info + "RECORD,,\n"},
	} {
		w, err := z.Create(f[0])
		if err == nil {
			_, err = w.Write([]byte(f[1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
