package fuseoverlay

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Where the answers must be those of Store is in TestImages.

func TestViewOfNothing(t *testing.T) {
	v := View{GraphRoot: filepath.Join(t.TempDir(), "none")}
	if images, err := v.Images(); err != nil || len(images) != 0 {
		t.Errorf("images %v, %v", images, err)
	}
	if _, err := v.Image("debian"); !errors.Is(err, ErrNoImage) {
		t.Errorf("image: %v", err)
	}
	if _, err := os.Stat(v.GraphRoot); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it made the store: %v", err)
	}
}

// list writes a list of images, as containers/storage keeps it.
func list(t *testing.T, text string) View {
	t.Helper()
	v := View{GraphRoot: t.TempDir()}
	path := filepath.Join(v.GraphRoot, imagesFile)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestViewOfDamage(t *testing.T) {
	for _, text := range []string{"", "{}", `[{"id":"a"`} {
		v := list(t, text)
		if images, err := v.Images(); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%q: images %v, %v", text, images, err)
		}
		if _, err := v.Image("a"); err == nil || errors.Is(err, ErrNoImage) {
			t.Errorf("%q: image: %v", text, err)
		}
	}
}

func TestViewOfAnImageWithoutItsData(t *testing.T) {
	v := list(t, `[{"id":"0a1b","names":["example.com/a:1"],"created":"2026-01-01T00:00:00Z"}]`)
	if images, err := v.Images(); err != nil || len(images) != 1 || images[0].Size != 0 {
		t.Errorf("images %v, %v", images, err)
	}
	if _, err := v.Image("example.com/a:1"); err == nil || errors.Is(err, ErrNoImage) {
		t.Errorf("it is listed, its config is gone: %v", err)
	}
}

func TestViewPrefersNamesToBeginnings(t *testing.T) {
	v := list(t, `[{"id":"0a1b"},{"id":"0a2c"},{"id":"ff","names":["0a"]}]`)
	recs, err := v.records()
	if err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[string]string{"0a": "ff", "0a1": "0a1b", "0a2c": "0a2c", "0": "", "": ""} {
		got := ""
		if rec := findRecord(recs, ref); rec != nil {
			got = rec.ID
		}
		if got != want {
			t.Errorf("%q: %q, want %q", ref, got, want)
		}
	}
}

func TestViewOfLayers(t *testing.T) {
	v := View{GraphRoot: t.TempDir()}
	if layers, err := v.Layers(); err != nil || len(layers) != 0 {
		t.Errorf("of nothing: %v, %v", layers, err)
	}
	path := filepath.Join(v.GraphRoot, layersFile)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	const text = `[{"id":"base","diff-size":100},{"id":"a","parent":"base","diff-size":10},{"id":"b","parent":"base","diff-size":-1},{"id":"round","parent":"round"}]`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	layers, err := v.Layers()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for _, id := range append(layers.Below("a"), layers.Below("b")...) {
		all[id] = true
	}
	if size := layers.Size(all); size != 110 || len(all) != 3 {
		t.Errorf("%v take %d", all, size)
	}
	if below := layers.Below("missing"); len(below) != 0 {
		t.Errorf("below a layer that is not there: %v", below)
	}
	if below := layers.Below("round"); len(below) > len(layers)+1 {
		t.Errorf("below itself: %v", below)
	}
}
