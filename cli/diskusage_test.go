package cli

import (
	"os"
	"path/filepath"
	"testing"

	"rootlet/sandbox"
	"rootlet/sandbox/record"
)

// Two images share a layer; a third is alone. What a container needs of the
// first is not the second's to give back.
func TestSharedLayersCountOnce(t *testing.T) {
	paths := sandbox.Paths{Data: t.TempDir()}
	for name, text := range map[string]string{
		"overlay-layers/layers.json": `[{"id":"base","diff-size":1000},{"id":"a","parent":"base","diff-size":100},
			{"id":"b","parent":"base","diff-size":10},{"id":"c","diff-size":1}]`,
		"overlay-images/images.json": `[{"id":"ia","layer":"a","metadata":"{\"size\":1100}"},{"id":"ib","layer":"b","metadata":"{\"size\":1010}"},
			{"id":"ic","layer":"c","metadata":"{\"size\":1}"}]`,
	} {
		path := filepath.Join(view(paths).GraphRoot, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	u := diskUsage{containers: []record.Entry{{Spec: record.Spec{ImageID: "ia"}}}}
	if err := u.addImages(paths); err != nil {
		t.Fatal(err)
	}
	want := account{kind: "Images", total: 3, active: 1, size: 1111, reclaimable: 11}
	if got := u.imagesAccount(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	for _, i := range u.images {
		shared := map[string]int64{"ia": 1000, "ib": 1000, "ic": 0}[i.ID]
		if i.shared != shared || i.Size-i.shared != map[string]int64{"ia": 100, "ib": 10, "ic": 1}[i.ID] {
			t.Errorf("%s: %d, shared %d", i.ID, i.Size, i.shared)
		}
	}
	if row := want.row(); row.Size != "1.111kB" || row.Reclaimable != "11B (0%)" {
		t.Errorf("%+v", row)
	}
}
