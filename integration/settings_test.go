package integration

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"rootlet/internal/testenv"
)

// startMirror is `mirror IMAGE...`: a second registry; $MIRROR is its address, and
// $ANY the first's by an address that is not written as loopback.
func startMirror(ts *testscript.TestScript, neg bool, args []string) {
	s := of(ts)
	s.mirror = newFakeRegistry()
	ts.Setenv("MIRROR", s.mirror.address())
	ts.Setenv("ANY", strings.Replace(s.registry.address(), "127.0.0.1", "0.0.0.0", 1))
	for _, image := range args {
		ts.Check(s.mirror.push(image, image))
	}
}

// mirrored is fetched, of the mirror.
func mirrored(ts *testscript.TestScript, neg bool, args []string) {
	r := of(ts).mirror
	r.mu.Lock()
	got := r.blobs[args[0]]
	r.blobs[args[0]] = 0
	r.mu.Unlock()
	if want, err := strconv.Atoi(args[1]); err != nil || got != want {
		ts.Fatalf("%d blobs of %s were fetched from the mirror, want %s", got, args[0], args[1])
	}
}

// mirrorFault is fault, of the mirror.
func mirrorFault(ts *testscript.TestScript, neg bool, args []string) {
	r := of(ts).mirror
	r.mu.Lock()
	r.faults[args[1]] = args[0]
	r.mu.Unlock()
}

// stopMirror is `mirrorgone`: from now on nobody listens at $MIRROR.
func stopMirror(ts *testscript.TestScript, neg bool, args []string) {
	of(ts).mirror.server.Close()
}

// expand is `expand FILE TO`: the script's variables in FILE become their values.
func expand(ts *testscript.TestScript, neg bool, args []string) {
	text := os.Expand(ts.ReadFile(args[0]), ts.Getenv)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o600))
}

// theirUser is someone with the password s3cret, as htpasswd -B writes it.
const theirUser = "someone:$2b$04$2f.ptyB0h8VW5diqPuUB9ORCuiq/cJxpWJvS7gYu3hHAMLIRW1ehC\n"

// startRealRegistry is `realregistry`; $REAL is its address.
func startRealRegistry(ts *testscript.TestScript, neg bool, args []string) {
	ts.Setenv("REAL", registryOfUsers(of(ts).t))
}

// registryOfUsers starts Debian's docker-registry, which knows theirUser and
// nobody else, and returns its address.
func registryOfUsers(t *testing.T) string {
	t.Helper()
	program := testenv.NeedProgram(t, "docker-registry")
	dir, address := t.TempDir(), freeAddress(t)
	users, config := filepath.Join(dir, "htpasswd"), filepath.Join(dir, "config.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}}\n"+
		"http: {addr: %s}\nauth: {htpasswd: {realm: test, path: %s}}\n", dir, address, users)
	for path, text := range map[string]string{users: theirUser, config: text} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server := exec.Command(program, "serve", config)
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
		return response.StatusCode == http.StatusUnauthorized
	})
	return address
}

// TestLoginAtATerminal: a password is asked for, and not shown; one who breaks off
// has a terminal that shows what he types.
func TestLoginAtATerminal(t *testing.T) {
	testenv.Whoever(t)
	address := registryOfUsers(t)
	p := newPerson(t)
	term := newTerminal(p)
	term.types("rootlet login " + address)
	term.shows(`^Username: *$`)
	term.types("someone")
	term.shows(`^Password: *$`)
	term.keys("C-c")
	term.shows(`interrupted`)
	term.asks()
	term.types("echo status $?")
	term.shows(`^status 130$`)
	term.types("clear; rootlet login -u someone " + address)
	term.shows(`^Password: *$`)
	term.types("s3cret")
	term.shows(`^Login Succeeded$`)
	if screen := term.tmux("capture-pane", "-p"); strings.Contains(screen, "s3cret") {
		t.Errorf("the password is seen:\n%s", screen)
	}
}
