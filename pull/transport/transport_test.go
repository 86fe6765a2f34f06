package transport

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/klauspost/compress/gzip"

	"rootlet/pull"
	"rootlet/pull/blobs"
)

// entry is a member of an archive of the tests.
type entry struct {
	tar.Header
	content string
}

func reg(name, content string) entry {
	return entry{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content))}, content}
}

func link(name, to string) entry {
	return entry{tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to}, ""}
}

func pack(t testing.TB, entries ...entry) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		if err := w.WriteHeader(&e.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func opened(t testing.TB, content string) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "archive")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func sha(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) }

func zipped(t testing.TB, s string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, s); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// The image of the tests: two layers.
func testImage(t testing.TB) (config string, layers []string) {
	layers = []string{pack(t, reg("a", "lower")), pack(t, reg("b", "upper"))}
	return fmt.Sprintf(`{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["sha256:%s","sha256:%s"]}}`,
		sha(layers[0]), sha(layers[1])), layers
}

// whole reads all that a manifest names, and returns it by digest.
func whole(t testing.TB, s pull.Source, identifier string) (v1.Manifest, map[string]string) {
	t.Helper()
	body, _, err := s.Manifest(context.Background(), identifier)
	if err != nil {
		t.Fatal(err)
	}
	m := v1.Manifest{}
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, d := range append([]v1.Descriptor{m.Config}, m.Layers...) {
		r, err := s.Blob(context.Background(), d.Digest.String(), d.Size, 0)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if got := "sha256:" + sha(string(text)); got != d.Digest.String() {
			t.Errorf("blob %s has digest %s", d.Digest, got)
		}
		all[d.Digest.String()] = string(text)
	}
	return m, all
}

func TestDockerArchive(t *testing.T) {
	config, layers := testImage(t)
	packed := zipped(t, layers[1])
	manifest := func(config string, layers ...string) entry {
		text, _ := json.Marshal([]dockerImage{{Config: config, RepoTags: []string{"x:1", "example.com/y:2"}, Layers: layers}})
		return reg("manifest.json", string(text))
	}
	id := sha(config) + ".json"
	for name, entries := range map[string][]entry{
		"of today":         {manifest("blobs/sha256/"+sha(config), "blobs/sha256/"+sha(layers[0]), "blobs/sha256/"+sha(layers[1])), reg("blobs/sha256/"+sha(config), config), reg("blobs/sha256/"+sha(layers[0]), layers[0]), reg("blobs/sha256/"+sha(layers[1]), layers[1])},
		"of 1.10":          {reg("0/layer.tar", layers[0]), reg("1/layer.tar", layers[1]), reg(id, config), manifest(id, "0/layer.tar", "1/layer.tar")},
		"compressed layer": {reg("0/layer.tar", layers[0]), reg("1/layer.tar", packed), reg(id, config), manifest(id, "0/layer.tar", "1/layer.tar")},
		"compressed blob":  {reg("0/layer.tar", layers[0]), reg("blobs/sha256/"+sha(packed), packed), reg(id, config), manifest(id, "0/layer.tar", "blobs/sha256/"+sha(packed))},
		"linked layer":     {reg("0/layer.tar", layers[0]), link("1/layer.tar", "../2/layer.tar"), reg("2/layer.tar", layers[1]), reg(id, config), manifest(id, "0/layer.tar", "1/layer.tar")},
		"dots in names":    {reg("./0/layer.tar", layers[0]), reg("./1.tar", layers[1]), reg("./"+id, config), manifest(id, "0/layer.tar", "1.tar")},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Open(context.Background(), opened(t, pack(t, entries...)), "")
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			all, err := s.Images()
			if err != nil || len(all) != 1 {
				t.Fatalf("%v, %v", all, err)
			}
			if want := []string{"docker.io/library/x:1", "example.com/y:2"}; !slices.Equal(all[0].Names, want) {
				t.Errorf("names %q", all[0].Names)
			}
			m, blobs := whole(t, s, all[0].Identifier)
			if blobs[m.Config.Digest.String()] != config || len(m.Layers) != 2 {
				t.Errorf("manifest %+v", m)
			}
			for _, by := range []string{"x:1", "docker.io/library/x:1", "example.com/y:2", "@0", ""} {
				if one, err := s.Find(by); err != nil || one.Identifier != all[0].Identifier {
					t.Errorf("find %q: %v, %v", by, one, err)
				}
			}
			for _, by := range []string{"x:2", "@1", "@-1", "UPPER"} {
				if one, err := s.Find(by); err == nil {
					t.Errorf("find %q: %v", by, one)
				}
			}
		})
	}
}

func TestLegacyArchive(t *testing.T) {
	_, layers := testImage(t)
	text := pack(t,
		reg("repositories", `{"x":{"1":"bb"}}`),
		reg("aa/json", `{"id":"aa","created":"2014-01-02T03:04:05Z","container_config":{"Cmd":["/bin/sh","-c","make"]}}`), reg("aa/layer.tar", layers[0]),
		reg("bb/json", `{"id":"bb","parent":"aa","os":"linux","architecture":"amd64","config":{"Cmd":["run"]}}`), reg("bb/layer.tar", layers[1]))
	s, err := Open(context.Background(), opened(t, text), "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	one, err := s.Find("x:1")
	if err != nil {
		t.Fatal(err)
	}
	m, blobs := whole(t, s, one.Identifier)
	config := v1.ConfigFile{}
	if err := json.Unmarshal([]byte(blobs[m.Config.Digest.String()]), &config); err != nil {
		t.Fatal(err)
	}
	if len(config.RootFS.DiffIDs) != 2 || config.RootFS.DiffIDs[0].Hex != sha(layers[0]) || config.Config.Cmd[0] != "run" || config.History[0].CreatedBy != "make" {
		t.Errorf("config %+v", config)
	}
}

func TestHostileArchives(t *testing.T) {
	config, layers := testImage(t)
	id := sha(config) + ".json"
	entries := func(manifest string, more ...entry) string {
		return pack(t, append([]entry{reg("manifest.json", manifest), reg(id, config), reg("0.tar", layers[0]), reg("1.tar", layers[1])}, more...)...)
	}
	inner := `{"config":{"digest":"sha256:` + sha("another") + `"}}`
	short := pack(t, reg("manifest.json", "[]"))
	lying := []byte(pack(t, reg("manifest.json", strings.Repeat(" ", 600))))
	for _, c := range []struct{ name, archive, want string }{
		{"empty", "", "no image archive"},
		{"no tar", strings.Repeat("not a tar ", 200), "is no image archive, which is a tar"},
		{"no tar, and short", "garbage\n", "is no image archive, which is a tar"},
		{"ends early", string(lying[:600]), "archive: "},
		{"ends after a member", pack(t, reg("a", ""))[:512+300], "archive: unexpected EOF"},
		{"nothing in it", pack(t, reg("README", "")), "no image archive"},
		{"twice", entries(`[]`, reg("./0.tar", layers[1])), "twice"},
		{"no config", entries(`[{"Config":"other.json","Layers":[]}]`), "not in the archive"},
		{"no layer", entries(`[{"Config":"` + id + `","Layers":["0.tar","2.tar"]}]`), "not in the archive"},
		{"out of it", entries(`[{"Config":"../../../../etc/passwd","Layers":[]}]`), "not in the archive"},
		{"link out of it", entries(`[{"Config":"`+id+`","Layers":["0.tar","l.tar"]}]`, link("l.tar", "/etc/passwd")), "not in the archive"},
		{"links in a ring", entries(`[{"Config":"`+id+`","Layers":["0.tar","l"]}]`, link("l", "m"), link("m", "l")), "too many links"},
		{"too few layers", entries(`[{"Config":"` + id + `","Layers":["0.tar"]}]`), "1 layers, and the config lists 2"},
		{"another config", entries(`[{"Config":"`+sha("x")+`.json","Layers":[]}]`, reg(sha("x")+".json", config)), "has digest"},
		{"a bad name", entries(`[{"Config":"` + id + `","RepoTags":["../x"],"Layers":["0.tar","1.tar"]}]`), "image reference"},
		{"a long name", pack(t, reg(strings.Repeat("n", 5000), "")), "longer than 4096 bytes"},
		{"names without end", entries(`[{"Config":"` + id + `","RepoTags":["x:1"` + strings.Repeat(`,"x:1"`, 1000) + `],"Layers":["0.tar","1.tar"]}]`), "more than 1000 names"},
		{"configs without end", entries(`[{"Config":"big","Layers":[]}`+strings.Repeat(`,{"Config":"big","Layers":[]}`, 20)+`]`, reg("big", `{"rootfs":{"diff_ids":[]}}`+strings.Repeat(" ", 4<<20-100))), "more than 64 MiB"},
		{"no JSON", entries(`[{]`), "manifest.json: "},
		{"another document", entries(`{"schemaVersion":2}`), "manifest.json is not a list of images as docker save writes it, but of type object"},
		{"another list", entries(`[{"Layers":"0.tar"}]`), "Layers in it is of type string"},
		{"too long", pack(t, reg("manifest.json", strings.Repeat(" ", 4<<20+1))), "larger than 4 MiB"},
		{"layout of the future", pack(t, reg("oci-layout", `{"imageLayoutVersion":"9"}`)), "not known"},
		{"layout without index", pack(t, reg("oci-layout", `{"imageLayoutVersion":"1.0.0"}`)), "index.json"},
		{"index is a fifo", pack(t, reg("oci-layout", `{"imageLayoutVersion":"1.0.0"}`), entry{tar.Header{Typeflag: tar.TypeFifo, Name: "index.json"}, ""}), "not in the archive"},
		{"two readings", pack(t, reg("oci-layout", `{"imageLayoutVersion":"1.0.0"}`), reg("index.json", `{"manifests":[{"digest":"sha256:`+sha(inner)+`","size":`+fmt.Sprint(len(inner))+`}]}`), reg("blobs/sha256/"+sha(inner), inner),
			reg("manifest.json", `[{"Config":"`+id+`","Layers":["0.tar"]}]`), reg(id, config)), "has an image that index.json has not"},
		{"legacy ring", pack(t, reg("repositories", `{"x":{"1":"aa"}}`), reg("aa/json", `{"parent":"aa"}`)), "below itself"},
		{"legacy without a layer", pack(t, reg("repositories", `{"x":{"1":""}}`)), "without a layer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Open(context.Background(), opened(t, c.archive), "")
			if err == nil {
				s.Close()
				t.Fatal("was opened")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q, not %q", err, c.want)
			}
		})
	}
	s, err := Open(context.Background(), opened(t, short), "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if one, err := s.Find(""); err == nil {
		t.Errorf("found %v", one)
	}
}

func TestBlobNames(t *testing.T) {
	s, err := Open(context.Background(), opened(t, pack(t, reg("oci-layout", `{"imageLayoutVersion":"1.0.0"}`), reg("index.json", `{}`), reg("secret", "x"), reg("blobs/sha256/"+sha("x"), "x"))), OCIArchive)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, digest := range []string{"", "sha256:../../secret", "sha256:", "md5:" + sha("x"), "sha256:" + strings.ToUpper(sha("y")), "sha512:" + sha("x")} {
		if _, err := s.Blob(context.Background(), digest, 1, 0); err == nil {
			t.Errorf("%q was opened", digest)
		}
		if _, _, err := s.Manifest(context.Background(), digest); err == nil {
			t.Errorf("manifest %q was opened", digest)
		}
	}
	if _, err := s.Blob(context.Background(), "sha256:"+sha("x"), 2, 0); err == nil {
		t.Error("a blob of another size was opened")
	}
}

func TestDirectoryFollowsNoSymlink(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "index.json")
	if err := os.WriteFile(outside, []byte(`{}`), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, layoutFile), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{outside, layoutFile} {
		_ = os.Remove(filepath.Join(dir, indexFile))
		if err := os.Symlink(to, filepath.Join(dir, indexFile)); err != nil {
			t.Fatal(err)
		}
		top, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = Open(context.Background(), top, ""); err == nil || !strings.Contains(err.Error(), "symlink") {
			t.Errorf("to %s: %v", to, err)
		}
	}
}

// TestWrittenAndRead writes an image in each format and reads it back: the same
// manifest, the same blobs; and twice the same bytes.
func TestWrittenAndRead(t *testing.T) {
	config, layers := testImage(t)
	archived, err := Open(context.Background(), opened(t, pack(t, reg("0", layers[0]), reg("1", zipped(t, layers[1])), reg("c.json", config),
		reg("manifest.json", `[{"Config":"c.json","Layers":["0","1"]}]`))), "")
	if err != nil {
		t.Fatal(err)
	}
	defer archived.Close()
	body, _, err := archived.Manifest(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	m, blobs := whole(t, archived, "")
	kept := keep(t, slices.Collect(maps.Values(blobs))...)
	send := func(target *Target, err error, names ...string) {
		t.Helper()
		if err == nil {
			_, err = pull.Push(context.Background(), pull.Stored{Manifest: body, Config: []byte(config)}, kept, target, names, asItIs)
		}
		if err == nil {
			err = target.Finish()
		}
		if err == nil {
			err = target.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, kind := range []Kind{DockerArchive, OCIArchive, OCI, Dir} {
		t.Run(string(kind), func(t *testing.T) {
			var f *os.File
			names := []string{"docker.io/library/x:1", "example.com/x:2"}
			if kind.IsDir() {
				dir := t.TempDir()
				for range 2 {
					top, err := os.Open(dir)
					if err != nil {
						t.Fatal(err)
					}
					target, err := NewDirectory(top, kind)
					send(target, err, names...)
				}
				if f, err = os.Open(dir); err != nil {
					t.Fatal(err)
				}
			} else {
				var once, again bytes.Buffer
				target, err := NewArchive(&once, kind)
				send(target, err, names...)
				target, err = NewArchive(&again, kind)
				send(target, err, names...)
				if !bytes.Equal(once.Bytes(), again.Bytes()) {
					t.Error("twice is not the same")
				}
				f = opened(t, once.String())
			}
			s, err := Open(context.Background(), f, "")
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			all, err := s.Images()
			if err != nil || len(all) != 1 {
				t.Fatalf("%v, %v", all, err)
			}
			if kind != Dir && !slices.Equal(all[0].Names, names) {
				t.Errorf("names %q", all[0].Names)
			}
			got, _, err := s.Manifest(context.Background(), all[0].Identifier)
			if err != nil || !bytes.Equal(got, body) {
				t.Errorf("manifest %s, %v", got, err)
			}
			if n, _ := whole(t, s, all[0].Identifier); len(n.Layers) != len(m.Layers) {
				t.Errorf("%d layers", len(n.Layers))
			}
		})
	}
}

// asItIs is how save pushes.
var asItIs = pull.PushOptions{AsItIs: true, Parallel: 1}

// keep is a store of blobs.
func keep(t testing.TB, all ...string) *blobs.Store {
	t.Helper()
	kept, err := blobs.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range all {
		if err := kept.Put("sha256:"+sha(b), int64(len(b)), strings.NewReader(b)); err != nil {
			t.Fatal(err)
		}
	}
	return kept
}

// TestNumbered: what Docker and rootlet write is a layout, too, and counted as
// manifest.json does, whatever the order of index.json.
func TestNumbered(t *testing.T) {
	blobs, manifests, older := []entry{}, []string{}, []string{}
	for i := range 3 {
		config := fmt.Sprintf(`{"os":"linux","author":"%d","rootfs":{"diff_ids":[]}}`, i)
		manifest := fmt.Sprintf(`{"schemaVersion":2,"config":{"digest":"sha256:%s","size":%d},"layers":[]}`, sha(config), len(config))
		blobs = append(blobs, reg("blobs/sha256/"+sha(config), config), reg("blobs/sha256/"+sha(manifest), manifest))
		name := fmt.Sprintf("docker.io/library/x:%d", i)
		manifests = append(manifests, fmt.Sprintf(`{"digest":"sha256:%s","size":%d,"annotations":{"io.containerd.image.name":"%s"}}`, sha(manifest), len(manifest), name))
		older = append(older, fmt.Sprintf(`{"Config":"blobs/sha256/%s","RepoTags":["x:%d"]}`, sha(config), i))
	}
	// An image for several platforms, of which index.json names the index.
	index := `{"schemaVersion":2,"manifests":[]}`
	blobs = append(blobs, reg("blobs/sha256/"+sha(index), index), reg("oci-layout", `{"imageLayoutVersion":"1.0.0"}`))
	manifests = append(manifests, fmt.Sprintf(`{"digest":"sha256:%s","size":%d,"annotations":{"io.containerd.image.name":"docker.io/library/x:3"}}`, sha(index), len(index)))
	older = append(older, `{"Config":"blobs/sha256/`+sha("elsewhere")+`","RepoTags":["@0","x:3"]}`)
	slices.Reverse(manifests)
	layout := append(blobs, reg("index.json", `{"manifests":[`+strings.Join(manifests, ",")+`]}`))
	s, err := Open(context.Background(), opened(t, pack(t, append(layout, reg("manifest.json", "["+strings.Join(older, ",")+"]"))...)), DockerArchive)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range 4 {
		one, err := s.Find(fmt.Sprintf("@%d", i))
		if want := fmt.Sprintf("docker.io/library/x:%d", i); err != nil || !slices.Equal(one.Names, []string{want}) || one.Identifier == "" {
			t.Errorf("@%d: %v, %v", i, one, err)
		}
	}
	for _, wrong := range []string{"@4", "@-1", "@", "@x"} {
		if one, err := s.Find(wrong); err == nil || !strings.Contains(err.Error(), "there are 4, from @0") {
			t.Errorf("%s: %v, %v", wrong, one, err)
		}
	}
	plain, err := Open(context.Background(), opened(t, pack(t, layout...)), DockerArchive)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if one, err := plain.Find("@3"); err != nil || !slices.Equal(one.Names, []string{"docker.io/library/x:0"}) {
		t.Errorf("without manifest.json: %v, %v", one, err)
	}
}

// TestForeignDirectory: what is in a directory that is no image's stays as it is.
func TestForeignDirectory(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"a web application": {manifestFile: `{"name":"x"}`},
		"a version":         {dirVersionFile: "1.0\n"},
		"hidden":            {".keep": ""},
		"another format":    {"": ""},
	} {
		for _, kind := range []Kind{OCI, Dir} {
			t.Run(name+" "+string(kind), func(t *testing.T) {
				files := maps.Clone(files)
				if _, other := files[""]; other {
					files = map[string]string{layoutFile: `{"imageLayoutVersion":"1.0.0"}`, indexFile: `{"manifests":[]}`}
					if kind == OCI {
						files = map[string]string{dirVersionFile: dirVersionWords + "1.1\n", manifestFile: "{}"}
					}
				}
				dir := t.TempDir()
				for name, text := range files {
					if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				top, err := os.Open(dir)
				if err != nil {
					t.Fatal(err)
				}
				defer top.Close()
				if _, err := NewDirectory(top, kind); err == nil || !strings.Contains(err.Error(), "is not empty and no image of the kind "+string(kind)) {
					t.Errorf("error %v", err)
				}
				there, err := os.ReadDir(dir)
				if err != nil || len(there) != len(files) {
					t.Errorf("%v, %v", there, err)
				}
				for name, text := range files {
					if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != text {
						t.Errorf("%s: %q, %v", name, got, err)
					}
				}
			})
		}
	}
}

// TestLayoutBesideManifest: a layout is one whatever else lies there, if it is
// asked for.
func TestLayoutBesideManifest(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{layoutFile: `{"imageLayoutVersion":"1.0.0"}`, indexFile: `{"manifests":[]}`, manifestFile: `{"name":"x"}`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for kind, want := range map[Kind]string{
		OCI: "",
		"":  "manifest.json is not a list of images as docker save writes it, but of type object; if the layout beside it is meant: oci:PATH",
	} {
		top, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Open(context.Background(), top, kind)
		if err == nil {
			s.Close()
		}
		if want == "" && err != nil || want != "" && (err == nil || err.Error() != want) {
			t.Errorf("%q: %v", kind, err)
		}
	}
}

func TestUndo(t *testing.T) {
	dir := t.TempDir()
	top, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	target, err := NewDirectory(top, OCI)
	if err != nil {
		t.Fatal(err)
	}
	config, layers := testImage(t)
	manifest := fmt.Sprintf(`{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:%s","size":%d},"layers":[`, sha(config), len(config))
	for _, l := range layers {
		manifest += fmt.Sprintf(`{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:%s","size":%d},`, sha(l), len(l))
	}
	manifest = strings.TrimSuffix(manifest, ",") + "]}"
	_, err = pull.Push(context.Background(), pull.Stored{Manifest: []byte(manifest), Config: []byte(config)}, keep(t, layers[0]), target, []string{"x"}, asItIs)
	if !errors.Is(err, pull.ErrNoBlob) {
		t.Errorf("a layer that is not there: %v", err)
	}
	if written, _ := os.ReadDir(filepath.Join(dir, blobsDir)); len(written) == 0 {
		t.Error("the other layer was not written")
	}
	if err := target.Close(); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
