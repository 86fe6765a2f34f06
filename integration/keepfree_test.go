package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/random"

	"rootlet/internal/testenv"
)

// keepFree brings $SMALL and $LARGE into a file system of 40 MiB, of which more or
// less is to stay free. Each line "try" says what came of it.
const keepFree = `
mount -t tmpfs -o size=40m,mode=700 tmpfs "$XDG_DATA_HOME" || exit 99
mkdir -p "$HOME/.config/rootlet"
try() {
	printf '[limits]\nfree-disk = %d\n' "$1" >"$HOME/.config/rootlet/config.toml"
	shift
	"$@" >/dev/null 2>"$HOME/said"; code=$?
	left=$(find "$XDG_DATA_HOME/rootlet/blobs" -type f | wc -l)
	# The kernel frees what a process had open some ms after its mounts are gone.
	for i in $(seq 100); do
		free=$(df -m --output=avail "$XDG_DATA_HOME" | tail -n 1 | tr -d ' ')
		[ $code = 1 ] && [ "$free" != 40 ] || break
		sleep 0.02
	done
	echo "try $TRY: code $code left $left free $free"
	sed "s/^/said $TRY /" "$HOME/said"
	rootlet rmi -f "$SMALL" >/dev/null 2>&1
}
head -c 12M /dev/urandom >"$HOME/large"
tar -cf "$HOME/large.tar" -C "$HOME" large
gzip -1 <"$HOME/large.tar" >"$HOME/large.tgz"
TRY=large try 50 rootlet pull -q "$LARGE"
TRY=small try 97 rootlet pull -q "$SMALL"
TRY=spool try 80 rootlet import -q "$HOME/large.tgz"
TRY=packed try 60 rootlet import -q "$HOME/large.tar"
TRY=room try 50 rootlet pull -q "$SMALL"
`

// Where a part of the disk is to stay free, it stays free whatever fills the disk:
// blobs as they come, layers as they are unpacked, or what is spooled.
func TestTheDiskIsKeptFree(t *testing.T) {
	testenv.Whoever(t)
	testenv.NeedProgram(t, "unshare")
	if os.Geteuid() == 0 {
		testenv.NotFor(t, "a user namespace of one id")
	}
	m := newMeter(t)
	put := func(name string, size, layers int64) string {
		image, err := random.Image(size, layers)
		if err != nil {
			t.Fatal(err)
		}
		return m.put(t, name, image)
	}
	p := newPerson(t)
	data := filepath.Join(p.home(), "small")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	c := exec.Command("unshare", "--user", "--map-current-user", "--mount", "--keep-caps", "sh", "-c", keepFree)
	c.Env = append(p.env, "XDG_DATA_HOME="+data, "SMALL="+put("little", 2<<20, 1), "LARGE="+put("much", 12<<20, 4))
	output, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	for name, want := range map[string]string{
		"large": "20 MiB of the disk are kept free (limit free-disk)", "small": "38 MiB of the disk", "spool": "32 MiB of the disk", "packed": "24 MiB of the disk",
	} {
		for _, line := range []string{"try " + name + ": code 1 left 0 free 40", "said " + name + " rootlet: hint: free some space, or lower free-disk"} {
			if !strings.Contains(string(output), line) {
				t.Errorf("not %q", line)
			}
		}
		if !strings.Contains(string(output), want) || strings.Contains(string(output), "no space left") {
			t.Errorf("%s: not %q", name, want)
		}
	}
	if !strings.Contains(string(output), "try room: code 0 left 1 ") {
		t.Error("what has room does not come")
	}
	if t.Failed() {
		t.Logf("%s", output)
	}
}
