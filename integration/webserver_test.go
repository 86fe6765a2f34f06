package integration

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rootlet/internal/testenv"
)

// webPage is one that only a browser makes anything of.
const webPage = `<!doctype html><title>plain</title><p id=it>plain</p><script>
fetch("/number").then(r => r.text()).then(n => { document.getElementById("it").textContent = "computed " + 6 * n })
</script>`

const webServer = `daemon off; user root; pid /tmp/pid; error_log stderr; events {}
http {
  access_log off; client_body_temp_path /tmp/a; proxy_temp_path /tmp/b; fastcgi_temp_path /tmp/c; uwsgi_temp_path /tmp/d; scgi_temp_path /tmp/e;
  server { listen 80; root /site; default_type text/html; }
}
`

// TestWebServer: under each driver Debian's nginx is published, and read from the host by
// curl, and by a browser where there is one: `make browser` sees to that, which takes 124
// megabytes of packages.
func TestWebServer(t *testing.T) {
	testenv.NeedSubIDs(t)
	nginx, curl := testenv.NeedProgram(t, "nginx"), testenv.NeedProgram(t, "curl")
	p, image := someone(t, "hostusr")
	p.rootlet("pull", image)
	site := t.TempDir()
	for name, content := range map[string]string{"index.html": webPage, "number": "7", "nginx.conf": webServer} {
		if err := os.WriteFile(filepath.Join(site, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, driver := range drivers {
		if driver != "builtin" {
			testenv.NeedProgram(t, driver)
		}
		t.Run(driver, func(t *testing.T) {
			p := p.in(t)
			p.rootlet(
				"run", "-d", "--name", "web", "--network", driver, "-p", "80", "-v", site+":/site:ro", "-v", "/usr:/usr:ro",
				image, nginx, "-e", "stderr", "-c", "/site/nginx.conf",
			)
			defer p.rootlet("rm", "-f", "web")
			first, _, _ := strings.Cut(p.rootlet("port", "web", "80"), "\n")
			port := strings.TrimPrefix(first, "0.0.0.0:")
			for _, host := range []string{"127.0.0.1", outerAddress(t)} {
				url := "http://" + net.JoinHostPort(host, port) + "/"
				var page []byte
				until(t, "nginx answers at "+url, func() bool {
					var err error
					page, err = exec.Command(curl, "-sf", "-m", "5", url).Output()
					return err == nil
				})
				if string(page) != webPage {
					t.Errorf("curl has read %q", page)
				}
			}
			t.Run("browser", func(t *testing.T) { browse(t, "http://127.0.0.1:"+port+"/") })
		})
	}
}

// browse has headless Chromium show the page, and looks at what has become of it.
func browse(t *testing.T, url string) {
	browser, err := exec.LookPath("chromium")
	if err != nil {
		testenv.NotFor(t, "a machine with chromium: make browser")
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	show := exec.CommandContext(
		ctx, browser, "--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--no-proxy-server", "--no-sandbox", "--user-data-dir="+t.TempDir(),
		"--virtual-time-budget=5000", "--dump-dom", url,
	)
	show.Env = append(os.Environ(), "HOME="+t.TempDir(), "XDG_RUNTIME_DIR="+t.TempDir())
	if page, err := show.Output(); err != nil || !strings.Contains(string(page), "computed 42") {
		t.Errorf("%v: the browser shows %q", err, page)
	}
}
