package fuseoverlay

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"rootlet/fuseoverlay/internal/testns"
)

func TestWrittenAndPlacesOfEachDriver(t *testing.T) {
	testns.Need(t)
	for _, driver := range []string{Native, FuseOverlayfs, Copy} {
		t.Run(driver, func(t *testing.T) {
			s := openStore(t, driver)
			img := putImage(t, s, "example.com/a:latest", layer(t, dir("etc", 0o755), file("etc/one", "1"), file("etc/two", "22")))
			box := t.TempDir()
			if name, places, err := Places(box); name != "" || places != nil || err != nil {
				t.Errorf("before it was mounted: %q %v %v", name, places, err)
			}
			root := mountImage(t, s, img, MountOptions{Dir: box})
			if got, err := Written(box); err != nil || got != 0 {
				t.Errorf("nothing written: %d, %v", got, err)
			}
			time.Sleep(20 * time.Millisecond) // more than the clock of files takes for a step
			for name, text := range map[string]string{"etc/two": "changed", "new": "123"} {
				if err := os.WriteFile(filepath.Join(root.Path, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := Written(box); err != nil || got != int64(len("changed")+len("123")) {
				t.Errorf("written: %d, %v", got, err)
			}
			name, places, err := Places(box)
			if err != nil || name != driver {
				t.Fatalf("%q, %v", name, err)
			}
			if _, err := os.Stat(filepath.Join(places["UpperDir"], "new")); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestLayerDirs(t *testing.T) {
	testns.Need(t)
	s := openStore(t, "")
	img := putImage(t, s, "example.com/a:latest", layer(t, file("one", "1")), layer(t, file("two", "2")))
	want, err := s.chain(img.TopLayer)
	if err != nil {
		t.Fatal(err)
	}
	got, err := View{GraphRoot: s.config.GraphRoot}.LayerDirs(img)
	if err != nil || len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("%v, %v; the store has %v", got, err, want)
	}
}
