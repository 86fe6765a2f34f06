package integration

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rootlet/internal/testenv"
)

// strangeHome gives a person a home that a program serves (bindfs(1)), as a network
// file system is by a server that refuses much; it returns what is behind it, and
// where the layers are to be.
func strangeHome(t *testing.T, p *person, options ...string) (behind, scratch string) {
	t.Helper()
	bindfs := testenv.NeedProgram(t, "bindfs")
	testenv.NeedProgram(t, "fusermount3")
	dir := t.TempDir()
	behind, scratch = filepath.Join(dir, "behind"), filepath.Join(dir, "scratch")
	for _, path := range []string{behind, scratch} {
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if output, err := exec.Command(bindfs, append(options, "--no-allow-other", behind, p.home())...).CombinedOutput(); err != nil {
		t.Fatalf("bindfs: %v\n%s", err, output)
	}
	t.Cleanup(func() {
		if output, err := exec.Command("fusermount3", "-u", p.home()).CombinedOutput(); err != nil {
			t.Errorf("fusermount3: %v\n%s", err, output)
		}
		removeStore(t, dir)
	})
	p.env = append(p.env, "TMPDIR="+scratch)
	return behind, scratch
}

// A home without attributes whose server keeps files from other ids, as NFS does: the
// layers find a scratch by themselves, that is said, and all else is as ever.
func TestAHomeThatCannotHoldLayers(t *testing.T) {
	testenv.NeedUser(t)
	p, image := someone(t, "busybox")
	behind, scratch := strangeHome(t, p, "--xattr-none", "--chown-deny")
	_, said, code := p.try("pull", image)
	if code != 0 || !strings.Contains(said, "rootlet: notice: layers are kept in "+scratch+"/rootlet-") || !strings.Contains(said, "no user extended attributes: setxattr: ") {
		t.Fatalf("exit code %d, said %q", code, said)
	}
	if _, said, code := p.try("run", "--name", "keep", image, "sh", "-c", "touch /f; rm /etc/passwd; mkdir /d && cp -a /etc /d"); code != 0 || said != "" {
		t.Errorf("exit code %d, and once more said %q", code, said)
	}
	if hasSubIDs() {
		if owner := p.rootlet("run", "--rm", image, "sh", "-c", "touch /g && chown 7:8 /g && stat -c %u:%g /g"); owner != "7:8\n" {
			t.Errorf("owner %q", owner)
		}
	}
	if changed := p.rootlet("diff", "keep"); !strings.Contains(changed, "D /etc/passwd\n") {
		t.Errorf("changes: %q", changed)
	}
	var info struct {
		Place struct {
			FS, Layers string
			Faults     []struct{ Feature string }
		}
	}
	if err := json.Unmarshal([]byte(p.rootlet("info", "-f", "json")), &info); err != nil || !strings.HasPrefix(info.Place.Layers, scratch) || len(info.Place.Faults) == 0 {
		t.Errorf("info: %+v, %v", info, err)
	}
	if diagnosis, _, _ := p.try("doctor"); !strings.Contains(diagnosis, "; layers in "+scratch) || !strings.Contains(diagnosis, "rootlet system move ") {
		t.Errorf("doctor:\n%s", diagnosis)
	}
	p.rootlet("rm", "keep")
	if found := p.rootlet("system", "check"); found != "" {
		t.Error(found)
	}
	if left, err := os.ReadDir(filepath.Join(behind, ".local/share/rootlet/containers")); err != nil || len(left) > 0 {
		t.Errorf("left of the containers: %v, %v", left, err)
	}
	p.rootlet("system", "reset", "-f")
	for _, dir := range []string{scratch, filepath.Join(behind, ".local/share")} {
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("left in %s: %v, %v", dir, left, err)
		}
	}
}

// Where somebody else has taken the scratch's name, or left a link there, the next
// place is taken; one that cannot have layers is none.
func TestTheScratchOfSomebodyElse(t *testing.T) {
	testenv.Whoever(t)
	testenv.NeedUser(t)
	p, image := someone(t, "busybox")
	behind, scratch := strangeHome(t, p, "--xattr-none", "--chown-deny")
	victim := filepath.Join(behind, "victim")
	cache := filepath.Join(p.home(), "cache") // no better than the home
	if err := os.Mkdir(victim, 0o700); err != nil {
		t.Fatal(err)
	}
	taken := filepath.Join(filepath.Dir(scratch), "taken")
	if err := os.Mkdir(taken, 0o700); err != nil {
		t.Fatal(err)
	}
	own := "rootlet-" + strings.TrimSpace(output(t, "id", "-u"))
	if err := os.Symlink(victim, filepath.Join(taken, own)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.rootlet("system", "reset", "-f") }) // which may have come to lie in /var/tmp
	env := p.env
	p.env = append(env[:len(env):len(env)], "TMPDIR="+taken, "XDG_CACHE_HOME="+cache)
	p.rootlet("pull", "-q", image)
	at := p.rootlet("info", "-f", "{{.Place.Layers}}")
	if at == "\n" || strings.HasPrefix(at, taken) || strings.HasPrefix(at, cache) {
		t.Errorf("layers are in %q", at)
	}
	if left, _ := os.ReadDir(victim); len(left) > 0 {
		t.Errorf("the link was followed: %v", left)
	}
	if left, err := os.ReadDir(cache); err != nil || len(left) > 0 {
		t.Errorf("left in a place that is no better: %v, %v", left, err)
	}
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	text, err := exec.Command(name, args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
