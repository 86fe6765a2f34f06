package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"rootlet/internal/testenv"
)

// imageSoak is how long TestImagesForAWhile takes, by $ROOTLET_SOAK: 10m is the
// long form (threats.md, F20).
func imageSoak(t *testing.T) time.Duration {
	text := os.Getenv("ROOTLET_SOAK")
	if text == "" {
		return 20 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("ROOTLET_SOAK: %v", err)
	}
	return d
}

// F20: eight who pull, tag, run, remove and prune the same images hear of nothing
// but what is in use, or not there; the store is clean in the end.
func TestImagesForAWhile(t *testing.T) {
	testenv.Whoever(t)
	testenv.NeedUser(t)
	p := newPerson(t)
	registry := newFakeRegistry()
	t.Cleanup(registry.server.Close)
	all := []string{"busybox", "newer", "configured", "layered", "platforms"}
	for _, image := range all {
		if err := registry.push(image, image); err != nil {
			t.Fatal(err)
		}
	}
	end := time.Now().Add(imageSoak(t))
	var workers sync.WaitGroup
	var counts [8]int
	for w := range counts {
		workers.Go(func() {
			for i := w; time.Now().Before(end); i++ {
				image := registry.address() + "/" + all[i%len(all)]
				name := fmt.Sprint("own", w)
				for _, args := range [][]string{
					{"pull", "-q", image},
					{"tag", image, name},
					{"run", "--rm", "--network", "none", "--entrypoint", "true", name},
					{"rmi", name},
					{"run", "--rm", "--network", "none", "--entrypoint", "true", image},
					{"images", "-a", "--digests"},
					{"history", image},
					{"rmi", "-f", image},
					{"image", "prune", "-f"},
				} {
					if w == 7 && args[0] == "image" {
						args = []string{"image", "prune", "-a", "-f"}
					}
					if _, stderr, code := p.try(args...); code != 0 && !typed(stderr) {
						t.Errorf("%v: exit code %d: %s", args, code, stderr)
					}
					counts[w]++
				}
			}
		})
	}
	workers.Wait()
	t.Logf("commands by worker: %v", counts)
	if found, stderr, code := p.try("system", "check"); code != 0 || found != "" {
		t.Errorf("afterwards: exit code %d, %s%s", code, found, stderr)
	}
	p.rootlet("image", "prune", "-a", "-f")
	if left := p.rootlet("images", "-a", "-q"); left != "" {
		t.Errorf("images left: %s", left)
	}
	for _, dir := range []string{"storage/overlay/[0-9a-f]*", "storage/overlay/l/*", "storage/overlay-images/[0-9a-f]*", "storage/rootlet-staging/*", "blobs/sha256/*", "blobs/partial/*"} {
		if left, err := filepath.Glob(filepath.Join(p.data(), dir)); err != nil || len(left) > 0 {
			t.Errorf("left: %s, %v", strings.Join(left, " "), err)
		}
	}
	if found, stderr, code := p.try("system", "check"); code != 0 || found != "" {
		t.Errorf("in the end: exit code %d, %s%s", code, found, stderr)
	}
}
