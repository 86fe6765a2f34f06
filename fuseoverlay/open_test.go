package fuseoverlay

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rootlet/fuseoverlay/internal/testns"
)

// openEnv makes TestOpenInANewProcess's second process open the store there.
const openEnv = "ROOTLET_TEST_OPEN"

// Each command is a new process: what it costs to open the store and to mount
// an image, and that the settings of others do not matter to it.
func TestOpenInANewProcess(t *testing.T) {
	testns.Need(t)
	if dir := os.Getenv(openEnv); dir != "" {
		openOnce(t, dir)
		return
	}
	dir := t.TempDir()
	s := openStoreAt(t, dir, "")
	putImage(t, s, "example.com/a:latest", layer(t, file("a", "")), layer(t, file("b", "")), layer(t, file("c", "")))
	s.Choice()
	broken := filepath.Join(dir, "storage.conf")
	if err := os.WriteFile(broken, []byte("[storage\ngarbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, env := range [][]string{
		{"HOME=/no-home"},
		{"HOME="},
		{"CONTAINERS_STORAGE_CONF=" + broken},
		{"CONTAINERS_STORAGE_CONF_OVERRIDE=" + broken, "STORAGE_DRIVER=vfs", "STORAGE_OPTS=nonsense"},
		{"_CONTAINERS_ROOTLESS_UID=4711", "TMPDIR=" + dir},
	} {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestOpenInANewProcess$", "-test.v")
		cmd.Env = append(append(os.Environ(), openEnv+"="+dir), env...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("with %q: %v\n%s", env, err, out)
		}
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, "ms)") {
				t.Logf("%q: %s", env, strings.TrimSpace(line))
			}
		}
	}
	if found, _ := filepath.Glob(filepath.Join(dir, "storage-run-*")); len(found) > 0 {
		t.Errorf("made for podman's sake: %v", found)
	}
}

func openOnce(t *testing.T, dir string) {
	box := t.TempDir()
	start := time.Now()
	s := openStoreAt(t, dir, "")
	opened := time.Since(start)
	img, err := s.Image("example.com/a:latest")
	if err != nil {
		t.Fatal(err)
	}
	looked := time.Since(start)
	root, err := s.Mount(img, MountOptions{Dir: box})
	if err != nil {
		t.Fatal(err)
	}
	const ms = float64(time.Millisecond)
	t.Logf("open %.2f, image %.2f, mount %.2f (%.2f ms)", float64(opened)/ms, float64(looked-opened)/ms,
		float64(time.Since(start)-looked)/ms, float64(time.Since(start))/ms)
	if err := root.Close(); err != nil {
		t.Fatal(err)
	}
}
