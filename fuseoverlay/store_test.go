package fuseoverlay

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"rootlet/fuseoverlay/internal/testns"
)

func TestImages(t *testing.T) {
	testns.Need(t)
	s := openStore(t, "")
	base, one, two := layer(t, file("base", "b")), layer(t, file("one", "1")), layer(t, file("two", "2"))
	a := putImage(t, s, "example.com/team/a:1", base, one)
	b := putImage(t, s, "example.com/team/b:latest", base, two)
	if a.Size != int64(len(base)+len(one)) || len(a.Config) == 0 || !a.Created.Equal(testTime) {
		t.Errorf("image %+v", a)
	}
	manifest := sum(string(a.Manifest))
	for ref, want := range map[string]string{
		"example.com/team/a:1":               a.ID,
		a.ID:                                 a.ID,
		"sha256:" + a.ID:                     a.ID,
		b.ID[:12]:                            b.ID,
		"example.com/team/a@" + manifest:     a.ID,
		"example.com/team/other@" + manifest: "",
		"example.com/team/a:2":               "",
		"example.com/team/a@sha256:short":    "",
		"example.com/team/a@sha512:" + a.ID:  "",
		"0123456789abcdef":                   "",
		"":                                   "",
		"../../etc/passwd":                   "",
		"example.com/team/b:latest@" + sum("other"): "",
	} {
		img, err := s.Image(ref)
		switch {
		case want == "" && !errors.Is(err, ErrNoImage):
			t.Errorf("%q: error %v", ref, err)
		case want != "" && (err != nil || img.ID != want):
			t.Errorf("%q: %v, error %v", ref, img, err)
		}
		seen, seenErr := View{GraphRoot: s.config.GraphRoot}.Image(ref)
		if spell(t, seen) != spell(t, img) || errors.Is(seenErr, ErrNoImage) != errors.Is(err, ErrNoImage) {
			t.Errorf("%q: a view sees %s, %v; the store %s, %v", ref, spell(t, seen), seenErr, spell(t, img), err)
		}
	}
	if images, err := s.Images(); err != nil {
		t.Error(err)
	} else if seen, err := (View{GraphRoot: s.config.GraphRoot}).Images(); err != nil || spell(t, seen) != spell(t, images) {
		t.Errorf("a view sees %s, %v; the store has %s", spell(t, seen), err, spell(t, images))
	}
	// A name moves.
	c := putImage(t, s, "example.com/team/a:1", base, two, one)
	if got, _ := s.Image("example.com/team/a:1"); got.ID != c.ID {
		t.Error("the name did not move")
	}
	if got, err := s.Image(a.ID); err != nil || len(got.Names) != 0 {
		t.Errorf("the image that lost its name: %+v, %v", got, err)
	}
	if images, err := s.Images(); err != nil || len(images) != 3 {
		t.Errorf("images %v, %v", images, err)
	}
	for _, img := range []*Image{a, b, c} {
		if _, err := s.RemoveImage(img.ID, Removal{}); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.RemoveImage(a.ID, Removal{}); !errors.Is(err, ErrNoImage) {
		t.Errorf("removing it again: %v", err)
	}
	if left := layerDirs(t, s); len(left) > 0 {
		t.Errorf("layers are left: %v", left)
	}
}

// spell makes two answers comparable.
func spell(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// layerDirs are the layers on disk.
func layerDirs(t *testing.T, s *Store) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(s.layers, strings.Repeat("[0-9a-f]", 64)))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func staging(t *testing.T, s *Store) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(s.path("staging"), "*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestRemoveImageKeepsSharedLayers(t *testing.T) {
	testns.Need(t)
	s := openStore(t, "")
	base, one := layer(t, file("base", "b")), layer(t, file("one", "1"))
	a := putImage(t, s, "example.com/a:1", base)
	b := putImage(t, s, "example.com/b:1", base, one)
	if _, err := s.RemoveImage(a.ID, Removal{}); err != nil {
		t.Fatal(err)
	}
	if !s.HasLayer(sum(string(base))) || len(layerDirs(t, s)) != 2 {
		t.Error("a shared layer is gone")
	}
	root := mountImage(t, s, b, MountOptions{})
	if _, err := os.Stat(filepath.Join(root.Path, "base")); err != nil {
		t.Error(err)
	}
}

func TestFailedLayerLeavesNothing(t *testing.T) {
	testns.Need(t)
	s := openStore(t, "")
	for name, data := range map[string][]byte{
		"garbage":   bytes.Repeat([]byte("garbage."), 500),
		"truncated": layer(t, file("f", strings.Repeat("x", 3000)))[:2000],
		"hostile":   layer(t, file("../../f", "x")),
	} {
		if _, err := s.StageLayer(context.Background(), bytes.NewReader(data), LayerLimits{}); err == nil {
			t.Errorf("%s is staged", name)
		}
	}
	staged, err := s.StageLayer(context.Background(), bytes.NewReader(layer(t, file("f", "x"))), LayerLimits{})
	if err != nil {
		t.Fatal(err)
	}
	if err := staged.Commit(LayerRecord{ChainID: "sha256:../../x"}); err == nil {
		t.Error("a malformed chain id is taken")
	}
	staged, err = s.StageLayer(context.Background(), bytes.NewReader(layer(t, file("f", "x"))), LayerLimits{})
	if err != nil {
		t.Fatal(err)
	}
	if err := staged.Commit(LayerRecord{ChainID: sum("x"), Parent: sum("missing")}); err == nil {
		t.Error("a layer without its parent is taken")
	}
	if got := append(staging(t, s), layerDirs(t, s)...); len(got) > 0 || s.HasLayer(sum("x")) {
		t.Errorf("left behind: %v", got)
	}
}

func TestDiscard(t *testing.T) {
	testns.Need(t)
	s := openStore(t, "")
	staged, err := s.StageLayer(context.Background(), bytes.NewReader(layer(t, dir("d", 0), file("d/f", "x"))), LayerLimits{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(staged.Discard(), staged.Discard()); err != nil || len(staging(t, s)) > 0 {
		t.Errorf("after Discard: %v, %v", err, staging(t, s))
	}
}

// Layers arrive in any order, and the same one from several pulls at once.
func TestConcurrentStaging(t *testing.T) {
	testns.Need(t)
	s := openStore(t, "")
	data := layer(t, file("f", "x"))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			staged, err := s.StageLayer(context.Background(), bytes.NewReader(data), LayerLimits{})
			if err != nil {
				t.Error(err)
				return
			}
			if err := staged.Commit(LayerRecord{ChainID: sum(string(data)), DiffID: sum(string(data)), Size: int64(len(data))}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := layerDirs(t, s); len(got) != 1 || len(staging(t, s)) > 0 {
		t.Errorf("layers %v, staging %v", got, staging(t, s))
	}
}

// crashEnv makes TestCrashedStaging's second process stage a layer and die.
const crashEnv = "ROOTLET_TEST_CRASH_IN"

func TestCrashedStaging(t *testing.T) {
	testns.Need(t)
	if dir := os.Getenv(crashEnv); dir != "" {
		s := openStoreAt(t, dir, "")
		in, out := io.Pipe()
		go func() {
			_, _ = out.Write(layer(t, file("f", "x"), file("g", strings.Repeat("y", 5000)))[:4000])
			os.Exit(7)
		}()
		_, err := s.StageLayer(context.Background(), in, LayerLimits{})
		t.Fatalf("staged: %v", err)
	}
	dir := t.TempDir()
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestCrashedStaging$")
	cmd.Env = append(os.Environ(), crashEnv+"="+dir)
	if out, err := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 7 {
		t.Fatalf("the process that should crash: %v\n%s", err, out)
	}
	s := openStoreAt(t, dir, "")
	if got := staging(t, s); len(got) != 1 {
		t.Fatalf("the crash left %v", got)
	}
	held, err := s.StageLayer(context.Background(), bytes.NewReader(layer(t, file("held", "x"))), LayerLimits{})
	if err != nil {
		t.Fatal(err)
	}
	if got := staging(t, s); len(got) != 1 || got[0] != held.area.path {
		t.Errorf("staging areas %v, want only %s", got, held.area.path)
	}
	// What is in use is not taken for a crash's.
	other, err := s.StageLayer(context.Background(), bytes.NewReader(layer(t, file("other", "x"))), LayerLimits{})
	if err != nil {
		t.Fatal(err)
	}
	if got := staging(t, s); len(got) != 2 {
		t.Errorf("staging areas %v, want two", got)
	}
	if err := errors.Join(held.Discard(), other.Discard()); err != nil {
		t.Error(err)
	}
}

func TestSkippedDevicesAreCounted(t *testing.T) {
	testns.Need(t)
	s := openStore(t, "")
	staged, err := s.StageLayer(context.Background(), bytes.NewReader(layer(t,
		tar.Header{Typeflag: tar.TypeChar, Name: "dev/null", Devmajor: 1, Devminor: 3}, file("f", "x"))), LayerLimits{})
	if err != nil {
		t.Fatal(err)
	}
	defer staged.Discard()
	if got := staged.Result(); got.SkippedDevices != 1 || got.Entries != 2 {
		t.Errorf("result %+v", got)
	}
}
