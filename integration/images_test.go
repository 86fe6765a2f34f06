package integration

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"
)

// images are what a registry of the tests can have, by name: Debian's
// busybox-static and some files, put together here.
var images = map[string]func() (remote.Taggable, error){
	"busybox":    func() (remote.Taggable, error) { return busybox() },
	"newer":      func() (remote.Taggable, error) { return with(v1.Config{}, file("newer", 0o644, "")) },
	"hostusr":    func() (remote.Taggable, error) { return hostUsr() },
	"noprogram":  func() (remote.Taggable, error) { return with(v1.Config{Cmd: []string{}}) },
	"useralice":  func() (remote.Taggable, error) { return with(v1.Config{User: "alice"}) },
	"configured": func() (remote.Taggable, error) { return configured() },
	"layered":    func() (remote.Taggable, error) { return layered() },
	"platforms":  func() (remote.Taggable, error) { return index("amd64", "arm64") },
	"armonly":    func() (remote.Taggable, error) { return index("arm64") },
}

// created is the time of everything in them: an image's digest is the same in
// every run.
var created = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// entry is one file of a layer.
type entry struct {
	tar.Header
	content string
}

func file(path string, mode int64, content string) entry {
	return entry{tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: mode, Size: int64(len(content))}, content}
}

func dir(path string, mode int64) entry {
	return entry{tar.Header{Typeflag: tar.TypeDir, Name: path + "/", Mode: mode}, ""}
}

func symlink(path, target string) entry {
	return entry{tar.Header{Typeflag: tar.TypeSymlink, Name: path, Linkname: target, Mode: 0o777}, ""}
}

func hardlink(path, target string) entry {
	return entry{tar.Header{Typeflag: tar.TypeLink, Name: path, Linkname: target}, ""}
}

func (e entry) ownedBy(uid, gid int) entry {
	e.Uid, e.Gid = uid, gid
	return e
}

// pack is the tar archive of these entries.
func pack(entries ...entry) ([]byte, error) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, e := range entries {
		e.ModTime = created
		if err := w.WriteHeader(&e.Header); err != nil {
			return nil, err
		}
		if _, err := io.WriteString(w, e.content); err != nil {
			return nil, err
		}
	}
	return archive.Bytes(), w.Close()
}

// gzipLayer is a layer as most are.
func gzipLayer(entries ...entry) (v1.Layer, error) {
	archive, err := pack(entries...)
	if err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive)), nil },
		tarball.WithCompressedCaching) // it is pushed by each test
}

// busybox has every applet, and the users root and alice.
var busybox = sync.OnceValues(func() (v1.Image, error) {
	path, err := exec.LookPath("busybox")
	if err != nil {
		return nil, err
	}
	program, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	applets, err := exec.Command(path, "--list").Output()
	if err != nil {
		return nil, err
	}
	entries := []entry{
		dir("bin", 0o755), dir("etc", 0o755), dir("root", 0o700), dir("home", 0o755), dir("mnt", 0o755),
		dir("home/alice", 0o755).ownedBy(1000, 1000), dir("tmp", 0o1777), dir("var", 0o755),
		symlink("linked", "/mnt"), symlink("escape", "/tmp/rootlet-escape"),
		file("etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n"),
		file("etc/group", 0o644, "root:x:0:\nalice:x:1000:\nteam:x:2000:alice\n"),
		file("bin/busybox", 0o755, string(program)),
	}
	for applet := range strings.FieldsSeq(string(applets)) {
		if applet != "busybox" {
			entries = append(entries, symlink("bin/"+applet, "busybox"))
		}
	}
	layer, err := gzipLayer(entries...)
	if err != nil {
		return nil, err
	}
	config := v1.Config{
		Cmd: []string{"sh"},
		Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
	}
	return build(empty.Image, config, "amd64", layer)
})

// build puts layers on a base and gives the image its configuration.
func build(base v1.Image, config v1.Config, arch string, layers ...v1.Layer) (v1.Image, error) {
	image, err := mutate.AppendLayers(base, layers...)
	if err != nil {
		return nil, err
	}
	all, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	all = all.DeepCopy()
	all.OS, all.Architecture, all.Created, all.Config = "linux", arch, v1.Time{Time: created}, config
	return mutate.ConfigFile(image, all)
}

// with is busybox with a configuration, where it says something, and files.
func with(config v1.Config, entries ...entry) (v1.Image, error) {
	base, err := busybox()
	if err != nil {
		return nil, err
	}
	original, err := base.ConfigFile()
	if err != nil {
		return nil, err
	}
	if config.Cmd == nil {
		config.Cmd = original.Config.Cmd
	}
	config.Env = append(config.Env, original.Config.Env...)
	if len(entries) == 0 {
		return build(base, config, "amd64")
	}
	layer, err := gzipLayer(entries...)
	if err != nil {
		return nil, err
	}
	return build(base, config, "amd64", layer)
}

// hostUsr is for the programs of this machine: with its /usr mounted, they find what they
// are linked with.
func hostUsr() (v1.Image, error) {
	return with(v1.Config{}, symlink("lib", "usr/lib"), symlink("lib64", "usr/lib64"))
}

// configured sets everything that an image can say about how to run it.
func configured() (v1.Image, error) {
	return with(v1.Config{
		Env:        []string{"GREETING=hello from the image"},
		Entrypoint: []string{"/bin/echo", "entry"},
		Cmd:        []string{"from", "cmd"},
		WorkingDir: "/srv/work",
		Volumes:    map[string]struct{}{"/srv/data": {}},
		Labels:     map[string]string{"maker": "tests"},
		StopSignal: "SIGUSR1",
	}, dir("srv", 0o755), dir("srv/data", 0o755), file("srv/data/seed", 0o644, "seeded by the image\n"))
}

// layered puts a plain, a gzip and a zstd layer on busybox. Each hides, replaces
// and adds what a layer can; what must not be seen has "removed" or
// "hidden-by-opaque" in its name.
func layered() (v1.Image, error) {
	base, err := busybox()
	if err != nil {
		return nil, err
	}
	plain, err := pack(
		dir("layers", 0o755), file("layers/plain", 0o644, "plain\n"), file("layers/kept", 0o640, "kept\n").ownedBy(0, 1000),
		file("layers/removed", 0o644, "x"), dir("layers/removed-dir", 0o755), file("layers/removed-dir/x", 0o644, "x"),
		dir("layers/opaque", 0o755), file("layers/opaque/hidden-by-opaque", 0o644, "x"),
		file("layers/replaced-by-dir", 0o644, "x"), dir("layers/replaced-by-file", 0o755),
		file("layers/setuid", 0o4755, "x"), hardlink("layers/setuid-too", "layers/setuid"),
	)
	if err != nil {
		return nil, err
	}
	gzip, err := gzipLayer(
		file("layers/gzip", 0o644, "gzip\n"), file("layers/.wh.removed", 0, ""), file("layers/.wh.removed-dir", 0, ""),
		dir("layers/opaque", 0o711), file("layers/opaque/.wh..wh..opq", 0, ""), file("layers/opaque/shown-after-opaque", 0o644, "x"),
		dir("layers/replaced-by-dir", 0o755), file("layers/replaced-by-dir/in", 0o644, "x"),
		file("layers/replaced-by-file", 0o644, "now a file"), symlink("layers/dangling", "/nowhere"),
	)
	if err != nil {
		return nil, err
	}
	last, err := pack(
		file("layers/zstd", 0o644, "zstd\n"), file("layers/"+strings.Repeat("n", 255), 0o600, "a long name"),
		dir("layers/sticky", 0o1777), hardlink("layers/linked", "layers/zstd"), file("layers/alices", 0o600, "x").ownedBy(1000, 1000),
	)
	if err != nil {
		return nil, err
	}
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		return nil, err
	}
	packed, err := newCompressedLayer(encoder.EncodeAll(last, nil), last)
	if err != nil {
		return nil, err
	}
	config, err := base.ConfigFile()
	if err != nil {
		return nil, err
	}
	image, err := build(base, config.Config, "amd64", static.NewLayer(plain, types.OCIUncompressedLayer), gzip, packed)
	if err != nil {
		return nil, err
	}
	return mutate.ConfigMediaType(mutate.MediaType(image, types.OCIManifestSchema1), types.OCIConfigJSON), nil
}

// newCompressedLayer is a layer from bytes that are compressed already.
func newCompressedLayer(compressed, archive []byte) (v1.Layer, error) {
	diffID, _, err := v1.SHA256(bytes.NewReader(archive))
	return zstdLayer{static.NewLayer(compressed, types.OCILayerZStd), diffID}, err
}

type zstdLayer struct {
	v1.Layer
	diffID v1.Hash
}

func (l zstdLayer) DiffID() (v1.Hash, error) { return l.diffID, nil }

// index is one image per architecture, each of which says which it is.
func index(arches ...string) (v1.ImageIndex, error) {
	all := v1.ImageIndex(empty.Index)
	for _, arch := range arches {
		base, err := busybox()
		if err != nil {
			return nil, err
		}
		layer, err := gzipLayer(file("platform", 0o644, "linux/"+arch+"\n"))
		if err != nil {
			return nil, err
		}
		config, err := base.ConfigFile()
		if err != nil {
			return nil, err
		}
		image, err := build(base, config.Config, arch, layer)
		if err != nil {
			return nil, err
		}
		descriptor, err := partial.Descriptor(image)
		if err != nil {
			return nil, err
		}
		descriptor.Platform = &v1.Platform{OS: "linux", Architecture: arch}
		all = mutate.AppendManifests(all, mutate.IndexAddendum{Add: image, Descriptor: *descriptor})
	}
	return all, nil
}
