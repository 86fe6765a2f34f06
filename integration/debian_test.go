package integration

import (
	"compress/gzip"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"rootlet/internal/testenv"
)

// TestDebian is the suite on real things: a Debian root made by debootstrap, a
// real registry on loopback, and packages from the mirror that this machine's
// apt uses, through each of the network drivers.
func TestDebian(t *testing.T) {
	testenv.NeedSubIDs(t)
	cache := debianCache(t)
	image := pushDebian(t, filepath.Join(cache, "bookworm.tar"), dockerRegistry(t))
	// Each root file system with another network: all of both are in it.
	for driver, network := range map[string]string{"native": "slirp4netns", "fuse-overlayfs": "pasta", "copy": "builtin"} {
		t.Run(driver, func(t *testing.T) {
			p := newPerson(t)
			p.env = append(p.env, "ROOTLET_STORAGE_DRIVER="+driver)
			if id := p.rootlet("pull", image); strings.Count(id, "\n") != 1 {
				t.Errorf("pull printed %q", id)
			}
			testDebian(p, cache, image, network)
		})
	}
}

func testDebian(p *person, cache, image, network string) {
	t := p.t
	if got := p.rootlet("run", "--rm", "--network", "none", image, "cat", "/etc/debian_version"); !strings.HasPrefix(got, "12.") {
		t.Errorf("debian_version is %q", got)
	}
	owner := "0"
	if strings.Contains(strings.Join(p.env, " "), "ROOTLET_STORAGE_DRIVER=native") {
		owner = "65534" // shown by nobody: see docs/security.md
	}
	const work = `set -o pipefail; cd; ls /usr/bin | sort -r | head -n 3 >/tmp/list && perl -e 'print 6 * 7' && stat -c " %u" /etc/passwd`
	if got := p.rootlet("run", "--rm", "--sandbox", image, "bash", "-c", work); got != "42 "+owner+"\n" {
		t.Errorf("in a sandbox: %q, want files of %s's", got, owner)
	}
	const install = "apt-get -q update && apt-get -q install -y hello && hello"
	output := p.rootlet(
		"run", "--name", "installed", "--network", network,
		"-v", cache+"/sources.list:/etc/apt/sources.list:ro", "-v", cache+"/apt.conf:/etc/apt/apt.conf.d/99host:ro",
		image, "sh", "-c", install,
	)
	if !strings.HasSuffix(output, "Hello, world!\n") {
		t.Errorf("apt-get printed:\n%s", output)
	}
	p.rootlet("rm", "installed")

	shared := t.TempDir()
	p.rootlet("run", "--rm", "--network", "none", "-v", shared+":/data", image, "sh", "-c", "touch /data/made && chown root:root /data/made")
	info, err := os.Stat(filepath.Join(shared, "made"))
	if err != nil {
		t.Fatal(err)
	}
	if uid := ownerOf(info); uid != os.Getuid() {
		t.Errorf("root's file belongs to %d outside, want %d", uid, os.Getuid())
	}
	// Native overlay cannot shift owners: here rootlet chooses what can.
	p.env = slices.DeleteFunc(p.env, func(v string) bool { return strings.HasPrefix(v, "ROOTLET_STORAGE_DRIVER=") })
	if got := p.rootlet("run", "--rm", "--network", "none", "--userns", "keep-id", image, "stat", "-c", "%u", "/etc/passwd"); got != "0\n" {
		t.Errorf("with keep-id /etc/passwd belongs to %q", got)
	}
}

// debianCache is where .ci/debian-root put the root and apt's configuration.
func debianCache(t *testing.T) string {
	t.Helper()
	cache := os.Getenv("ROOTLET_TEST_CACHE")
	if _, err := os.Stat(filepath.Join(cache, "bookworm.tar")); cache == "" || err != nil {
		testenv.Skip(t, "a Debian root: as root, .ci/debian-root /var/cache/rootlet-test, and ROOTLET_TEST_CACHE set to that")
	}
	return cache
}

// dockerRegistry starts Debian's docker-registry and returns its address.
func dockerRegistry(t *testing.T) string {
	t.Helper()
	program := testenv.NeedProgram(t, "docker-registry")
	address := freeAddress(t)
	dir := t.TempDir()
	config := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %s}\n", dir, address)
	if err := os.WriteFile(dir+"/config.yml", []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	server := exec.Command(program, "serve", dir+"/config.yml")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	until(t, "docker-registry answers", func() bool {
		response, err := http.Get("http://" + address + "/v2/")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	return address
}

// freeAddress is one that nobody listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// pushDebian makes an image of one layer from the archive.
func pushDebian(t *testing.T, archive, address string) string {
	t.Helper()
	layer, err := tarball.LayerFromFile(archive, tarball.WithCompressionLevel(gzip.BestSpeed))
	if err != nil {
		t.Fatal(err)
	}
	image, err := build(empty.Image, v1.Config{Cmd: []string{"bash"}, Env: []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive",
	}}, "amd64", layer)
	if err != nil {
		t.Fatal(err)
	}
	reference := address + "/debian:bookworm"
	ref, err := name.ParseReference(reference, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image); err != nil {
		t.Fatal(err)
	}
	return reference
}
