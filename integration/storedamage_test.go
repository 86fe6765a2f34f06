package integration

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rootlet/internal/testenv"
)

// F16, and podman's 330-corrupt-images and 331-system-check: each file of the
// store is deleted, emptied or changed in turn.

// store is where the person's images are.
func (p *person) store() string { return filepath.Join(p.data(), "storage") }

// storeFiles are the files of the store that are not in a layer: what a layer
// holds is the last of them.
func storeFiles(t *testing.T, p *person) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(p.store(), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch base := filepath.Base(path); {
		case base == "diff":
			all = append(all, path)
			return fs.SkipDir
		case strings.HasSuffix(base, ".lock"), base == "rootlet-probes.json", base == ".has-mount-program", base == "rootlet-staging",
			base == "merged", base == "empty", base == "work", base == "rootlet-layers", base == "overlay-containers", path == p.store():
			if d.IsDir() && path != p.store() {
				return fs.SkipDir
			}
			return nil
		}
		all = append(all, path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// wreck damages a file or directory in a way; false says that it cannot be done.
func wreck(t *testing.T, path, how string) bool {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case how == "deleted":
		err = os.Rename(path, filepath.Join(t.TempDir(), "gone"))
	case !info.Mode().IsRegular():
		return false
	default:
		var text []byte
		if text, err = os.ReadFile(path); err == nil {
			err = os.WriteFile(path, damages[how](text), 0o600)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return true
}

func TestDamagedStore(t *testing.T) {
	testenv.NeedUser(t)
	first := newPerson(t)
	registry := newFakeRegistry()
	t.Cleanup(registry.server.Close)
	for _, image := range []string{"busybox", "newer", "platforms"} {
		if err := registry.push(image, image); err != nil {
			t.Fatal(err)
		}
	}
	other, image := registry.address()+"/platforms", registry.address()+"/newer"
	first.rootlet("pull", image)
	first.rootlet("pull", other)
	first.rootlet("tag", image, "mine")
	first.rootlet("create", "--name", "bystander", "--network", "none", "hello")
	if found, _, code := first.try("system", "check"); code != 0 || found != "" {
		t.Fatalf("of a store that is whole: exit code %d, %s", code, found)
	}
	for _, path := range storeFiles(t, first) {
		name, _ := filepath.Rel(first.store(), path)
		for _, how := range []string{"deleted", "truncated", "zeroed", "one bit flipped"} {
			t.Run(name+" "+how, func(t *testing.T) {
				p := newPerson(t)
				p.rootlet("pull", image)
				p.rootlet("pull", other)
				p.rootlet("tag", image, "mine")
				p.rootlet("create", "--name", "bystander", "--network", "none", "hello")
				path := filepath.Join(p.store(), name)
				if _, err := os.Lstat(path); err != nil {
					t.Skip("a short name, which is another in each store") //nolint:forbidigo // nothing is missing
				}
				if !wreck(t, path, how) {
					return
				}
				p.surviveDamage(image, other)
			})
		}
	}
}

// surviveDamage is what must work whatever is damaged, and after a repair again.
func (p *person) surviveDamage(image, other string) {
	p.t.Helper()
	for _, args := range [][]string{{"ps", "-a"}, {"images"}, {"run", "--rm", "--network", "none", other, "true"}, {"rmi", "mine"}, {"system", "check", "--quick"}} {
		_, stderr, _ := p.try(args...)
		if strings.Contains(stderr, "panic") || strings.Contains(stderr, "goroutine") {
			p.t.Errorf("%v: %s", args, stderr)
		}
	}
	if rows := p.rootlet("ps", "-a", "--format", "{{.Names}}"); rows != "bystander\n" {
		p.t.Errorf("ps -a shows %q", rows)
	}
	said, stderr, _ := p.try("system", "check", "--repair", "--force")
	if strings.Contains(stderr, "panic") {
		p.t.Error(stderr)
	}
	if found, stderr, code := p.try("system", "check"); code != 0 || found != "" {
		p.t.Errorf("after a repair: exit code %d, %s%s\nthe repair said %s", code, found, stderr, said)
	}
	for _, i := range []string{image, other} {
		p.rootlet("pull", i)
		p.rootlet("run", "--rm", "--network", "none", i, "cat", "/etc/passwd")
	}
	p.try("rm", "-f", "bystander")
	p.rootlet("image", "prune", "-a", "-f")
	if found, _, code := p.try("system", "check"); code != 0 || found != "" {
		p.t.Errorf("after a prune: exit code %d, %s", code, found)
	}
}
