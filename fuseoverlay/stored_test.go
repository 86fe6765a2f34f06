package fuseoverlay

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	digest "github.com/opencontainers/go-digest"
)

// listed lists images of the user's own: by the first digits of its id an image's names,
// those that it has from an image store with a * behind them.
func listed(t *testing.T, images map[string]string) View {
	t.Helper()
	var records []string
	for _, id := range slices.Sorted(keys(images)) {
		var all, shared []string
		for _, name := range strings.Fields(images[id]) {
			bare, from := strings.CutSuffix(name, "*")
			all = append(all, fmt.Sprintf("%q", bare))
			if from {
				shared = append(shared, fmt.Sprintf("%q", bare))
			}
		}
		notes := fmt.Sprintf(`{"version":1,"size":1,"shared":[%s]}`, strings.Join(shared, ","))
		records = append(records, fmt.Sprintf(`{"id":%q,"names":[%s],"metadata":%q}`, id, strings.Join(all, ","), notes))
	}
	return list(t, "["+strings.Join(records, ",")+"]")
}

func keys(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// inStore is an image of an image store.
func inStore(id, names string) StoredImage {
	return StoredImage{
		Image:  Image{ID: id, Names: strings.Fields(names), In: "/srv/images", Config: []byte("config of " + id), Digest: digest.FromString(id).String(), TopLayer: "top" + id},
		Layers: []StoredLayer{{"base", 5}, {"top" + id, 7}},
	}
}

func TestViewWithStores(t *testing.T) {
	for name, test := range map[string]struct {
		own    map[string]string
		stored []StoredImage
		images string            // all, in order: id=names, with ! where it is in a store only
		finds  map[string]string // by what is looked for, the id, with ! likewise
	}{
		"beside it": {
			own: map[string]string{"aa": "ex/own:1"}, stored: []StoredImage{inStore("bb", "ex/theirs:1 ex/theirs:2"), inStore("cc", "")},
			images: "aa=ex/own:1 bb!=ex/theirs:1,ex/theirs:2 cc!=",
			finds:  map[string]string{"ex/own:1": "aa", "ex/theirs:2": "bb!", "b": "bb!", "cc": "cc!", "sha256:bb": "bb!", "ex/none:1": "", "d": ""},
		},
		"the user's own name counts": {
			own: map[string]string{"aa": "ex/x:1"}, stored: []StoredImage{inStore("bb", "ex/x:1")},
			images: "aa=ex/x:1", finds: map[string]string{"ex/x:1": "aa", "bb": "bb!"},
		},
		"unpacked here": {
			own: map[string]string{"aa": "ex/x:1*"}, stored: []StoredImage{inStore("aa", "ex/x:1 ex/y:1")},
			images: "aa=ex/x:1,ex/y:1", finds: map[string]string{"ex/x:1": "aa", "ex/y:1": "aa!", "a": "aa"},
		},
		"its name has moved": {
			own: map[string]string{"aa": "ex/x:1* ex/mine:1"}, stored: []StoredImage{inStore("bb", "ex/x:1")},
			images: "aa=ex/mine:1 bb!=ex/x:1", finds: map[string]string{"ex/x:1": "bb!", "ex/mine:1": "aa"},
		},
		"the store is gone": {
			own:    map[string]string{"aa": "ex/x:1*"},
			images: "aa=ex/x:1", finds: map[string]string{"ex/x:1": "aa"},
		},
		"two stores": {
			stored: []StoredImage{inStore("aa", "ex/x:1"), inStore("bb", "ex/x:1 ex/y:1"), inStore("aa", "ex/z:1")},
			images: "aa!=ex/x:1,ex/z:1 bb!=ex/y:1", finds: map[string]string{"ex/x:1": "aa!", "ex/y:1": "bb!"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := listed(t, test.own)
			v.Stores = func(string) []StoredImage { return test.stored }
			all, err := v.Images()
			if err != nil {
				t.Fatal(err)
			}
			var shown []string
			for _, i := range all {
				shown = append(shown, mark(&i)+"="+strings.Join(i.Names, ","))
			}
			if got := strings.Join(shown, " "); got != test.images {
				t.Errorf("images %q, want %q", got, test.images)
			}
			for ref, want := range test.finds {
				if found, err := v.Find(ref); (err != nil) != (want == "") || err == nil && mark(found) != want {
					t.Errorf("%s: %+v, %v; want %q", ref, found, err, want)
				}
			}
		})
	}
}

// mark is an image's id, and whether it is in a store only.
func mark(i *Image) string {
	if i.In != "" {
		return i.ID + "!"
	}
	return i.ID
}

func TestDocumentsOfAStoredImage(t *testing.T) {
	v := listed(t, nil)
	v.Stores = func(string) []StoredImage { return []StoredImage{inStore("bb", "ex/x:1")} }
	i, err := v.Image("ex/x@" + digest.FromString("bb").String())
	if err != nil || string(i.Config) != "config of bb" {
		t.Errorf("%+v, %v", i, err)
	}
	if text, err := v.Config("bb"); err != nil || string(text) != "config of bb" {
		t.Errorf("%q, %v", text, err)
	}
	layers, err := v.Layers()
	if err != nil || layers["topbb"] != (Layer{Parent: "base", Size: 7}) || layers["base"] != (Layer{Size: 5}) {
		t.Errorf("%+v, %v", layers, err)
	}
	if dirs, err := v.LayerDirs(i); err != nil || dirs != nil {
		t.Errorf("it has layers here: %q, %v", dirs, err)
	}
}

// A name that an image has from a store is the user's own once he gives it himself.
func TestNamesFromStores(t *testing.T) {
	s := openStore(t, Copy)
	i := putImage(t, s, "ex/own:1", layer(t, file("a", "")))
	shared := func() []string {
		t.Helper()
		found, err := s.Image(i.ID)
		if err != nil {
			t.Fatal(err)
		}
		return found.Shared
	}
	put := func(shared bool, name string) {
		t.Helper()
		r := ImageRecord{ID: i.ID, Digest: i.Digest, TopLayer: i.TopLayer, Names: []string{name}, Manifest: i.Manifest, Config: i.Config, Shared: shared}
		if err := s.PutImage(r); err != nil {
			t.Fatal(err)
		}
	}
	put(true, "ex/a:1")
	put(true, "ex/b:1")
	if got := shared(); !slices.Equal(got, []string{"ex/b:1", "ex/a:1"}) && !slices.Equal(got, []string{"ex/a:1", "ex/b:1"}) {
		t.Errorf("from a store: %q", got)
	}
	put(false, "ex/a:1")
	if got := shared(); !slices.Equal(got, []string{"ex/b:1"}) {
		t.Errorf("pulled since: %q", got)
	}
	if _, err := s.TagImage(i.ID, "ex/b:1"); err != nil {
		t.Fatal(err)
	}
	if got := shared(); len(got) > 0 {
		t.Errorf("tagged since: %q", got)
	}
	if found, _ := s.Image("ex/b:1"); found == nil || found.Size != i.Size {
		t.Errorf("it is %+v, was %+v", found, i)
	}
}
