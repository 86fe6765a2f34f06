package integration

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
			base == "tmp", base == "tempdirs", base == "merged", base == "empty", base == "work", base == "rootlet-layers", base == "overlay-containers", path == p.store():
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
	p := newPerson(t)
	registry := newFakeRegistry()
	t.Cleanup(registry.server.Close)
	for _, image := range []string{"newer", "busybox"} {
		if err := registry.push(image, image); err != nil {
			t.Fatal(err)
		}
	}
	d := damagedStore{registry.address() + "/newer", registry.address() + "/busybox"}
	d.fill(p)
	if found, stderr, code := p.try("system", "check"); code != 0 || found != "" {
		t.Fatalf("of a store that is whole: exit code %d, %s%s", code, found, stderr)
	}
	files := len(storeFiles(t, p))
	if files < 25 {
		t.Errorf("only %d files to damage", files)
	}
	ways := []string{"deleted", "one bit flipped"}
	switch {
	case testenv.Kind() == testenv.WithoutSubIDs:
		ways = ways[:1] // the files are the same ones
	case *soak > time.Minute:
		ways = append(ways, "truncated", "zeroed")
	}
	for i := range files {
		for _, how := range ways {
			d.fill(p)
			all := storeFiles(t, p)
			if len(all) != files {
				t.Fatalf("there are %d files, not %d:\n%s", len(all), files, strings.Join(all, "\n"))
			}
			name, _ := filepath.Rel(p.store(), all[i])
			t.Run(name+" "+how, func(t *testing.T) {
				p := p.in(t)
				image := p.inspect("bystander", ".Image")
				if wreck(t, all[i], how) {
					own := "overlay-images/" + strings.TrimPrefix(image, "sha256:")
					d.survive(p, strings.HasPrefix(own, name) || strings.HasPrefix(name, own))
				}
			})
			if t.Failed() {
				return // what comes after says little
			}
		}
	}
}

// damagedStore are the images in a store that is damaged: two, with a layer in
// common.
type damagedStore struct{ image, other string }

// fill brings in whatever is missing.
func (d damagedStore) fill(p *person) {
	p.t.Helper()
	for _, image := range []string{d.image, d.other} {
		if _, _, code := p.try("history", image); code != 0 {
			p.rootlet("pull", "-q", image)
		}
	}
	p.rootlet("tag", d.image, "mine")
	if p.state("bystander") == "" {
		p.rootlet("create", "--name", "bystander", "--network", "none", "hello")
	}
}

// survive is what must work whatever is damaged, and after a repair again. Only
// where the bystander's own image is concerned may he have to go.
func (d damagedStore) survive(p *person, concerned bool) {
	p.t.Helper()
	for _, args := range [][]string{{"images"}, {"run", "--rm", "--network", "none", d.other, "true"}, {"system", "check", "--quick"}, {"system", "df"}, {"rmi", "mine"}} {
		_, stderr, _ := p.try(args...)
		if strings.Contains(stderr, "panic") || strings.Contains(stderr, "goroutine") {
			p.t.Errorf("%v: %s", args, stderr)
		}
	}
	if rows := p.rootlet("ps", "-a", "--format", "{{.Names}}"); rows != "bystander\n" {
		p.t.Errorf("ps -a shows %q", rows)
	}
	said, stderr, code := p.try("system", "check", "--repair")
	if code != 0 && concerned {
		said, stderr, code = p.try("system", "check", "--repair", "--force")
	}
	if code != 0 || strings.Contains(stderr, "panic") {
		p.t.Errorf("repair: exit code %d: %s%s", code, said, stderr)
	}
	if found, stderr, code := p.try("system", "check"); code != 0 || found != "" {
		p.t.Errorf("after a repair: exit code %d, %s%s\nthe repair said %s", code, found, stderr, said)
	}
	if !concerned {
		p.rootlet("start", "bystander")
	}
	for _, i := range []string{d.image, d.other} {
		p.rootlet("run", "--rm", "--network", "none", i, "cat", "/etc/passwd")
	}
}
