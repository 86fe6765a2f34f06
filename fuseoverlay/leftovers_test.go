package fuseoverlay

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rootlet/fuseoverlay/internal/testns"
)

// TestLeftoversGo plants what processes leave that are killed on the way to an
// image, by the names that they give it, and has somebody bring nothing in.
func TestLeftoversGo(t *testing.T) {
	testns.Need(t)
	s := openStore(t, "")
	img := putImage(t, s, "example.com/a:1", layer(t, file("one", "1")), layer(t, file("two", "2")))
	root, half := s.config.GraphRoot, strings.Repeat("ab", 32)
	for path, content := range map[string]string{
		"overlay-images/.tmp-images.json12":             "[]",
		"overlay-layers/.tmp-layers.json34":             "[]",
		"overlay-images/" + img.ID + "/.tmp-manifest56": "{",
		"overlay-images/" + img.ID + "/" + removedMark:  "",
		"overlay-images/" + half + "/" + removedMark:    "",
		"overlay-images/" + half + "/" + configKey:      "{}",
		"rootlet-staging/layer-78/diff/half":            "x",
		"rootlet-layers/" + half:                        "",
	} {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// The short names: a stray one, and all of them lost.
	for _, stray := range []bool{true, false} {
		if stray {
			if err := os.Symlink(filepath.Join("..", half, "diff"), filepath.Join(s.layers, "l", "STRAY")); err != nil {
				t.Fatal(err)
			}
		} else if err := os.RemoveAll(filepath.Join(s.layers, "l")); err != nil {
			t.Fatal(err)
		} else if err := os.Mkdir(filepath.Join(s.layers, "l"), 0o755); err != nil {
			t.Fatal(err)
		}
		leave, err := s.EnterInstall()
		if err == nil {
			err = leave()
		}
		if err != nil {
			t.Fatal(err)
		}
		if names, err := filepath.Glob(filepath.Join(s.layers, "l", "*")); err != nil || len(names) != 2 {
			t.Errorf("short names %q, %v", names, err)
		}
	}
	for _, pattern := range []string{
		"overlay-*/.tmp-*", "overlay-images/*/.tmp-*", "overlay-images/*/" + removedMark, "overlay-images/" + half,
		"rootlet-staging/*", "rootlet-layers/*",
	} {
		if left, _ := filepath.Glob(filepath.Join(root, pattern)); len(left) > 0 {
			t.Errorf("left: %q", left)
		}
	}
	if got, err := s.Image(img.ID); err != nil || spell(t, got) != spell(t, img) {
		t.Errorf("the image is %s, %v", spell(t, got), err)
	}
}

// TestPutImageAgain gives an image names and another manifest.
func TestPutImageAgain(t *testing.T) {
	testns.Need(t)
	s := openStore(t, "")
	img := putImage(t, s, "example.com/a:1", layer(t, file("one", "1")))
	other := putImage(t, s, "example.com/b:1", layer(t, file("two", "2")))
	rec := ImageRecord{
		ID: img.ID, Digest: img.Digest, TopLayer: img.TopLayer, Names: []string{"example.com/b:1", "example.com/a:2"},
		Manifest: append([]byte(" "), img.Manifest...), Config: img.Config, Created: img.Created,
	}
	if err := s.PutImage(rec); err != nil {
		t.Fatal(err)
	}
	got, err := s.Image("example.com/b:1")
	if err != nil || got.ID != img.ID || string(got.Manifest) != string(rec.Manifest) {
		t.Fatalf("%+v, %v", got, err)
	}
	if names := strings.Join(got.Names, " "); names != "example.com/b:1 example.com/a:2 example.com/a:1" {
		t.Errorf("names %s", names)
	}
	if lost, err := s.Image(other.ID); err != nil || len(lost.Names) != 0 {
		t.Errorf("the one that lost its name: %+v, %v", lost, err)
	}
	rec.Digest = "sha256:short"
	if s.PutImage(rec) == nil {
		t.Error("a digest that is none was taken")
	}
}
