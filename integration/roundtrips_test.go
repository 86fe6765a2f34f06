package integration

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	reference "github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"rootlet/internal/testenv"
)

// travel is a place where images come by: somebody with rootlet, a registry, and
// other people's programs. What comes back is compared with what went.
type travel struct {
	*person
	registry string
	dir      string
	n        int // of the last thing that was made
}

// travelled are the images that go around, of each kind of manifest.
var travelled = map[string]func() (v1.Image, error){
	"docker":  configured,
	"oci":     func() (v1.Image, error) { return inOCI(configured()) },
	"layered": func() (v1.Image, error) { return inOCI(layered()) },
}

// inOCI is an image with OCI's types throughout.
func inOCI(image v1.Image, err error) (v1.Image, error) {
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	layers, err := image.Layers()
	if err != nil {
		return nil, err
	}
	for i, l := range layers {
		if t, err := l.MediaType(); err == nil && t == types.DockerLayer {
			layers[i] = ociLayer{l}
		}
	}
	image, err = build(empty.Image, config.Config, "amd64", layers...)
	return mutate.ConfigMediaType(mutate.MediaType(image, types.OCIManifestSchema1), types.OCIConfigJSON), err
}

// ociLayer is a gzip layer under OCI's name for it.
type ociLayer struct{ v1.Layer }

func (ociLayer) MediaType() (types.MediaType, error) { return types.OCILayer, nil }

func newTravel(t *testing.T) *travel {
	p := newPerson(t)
	dir := filepath.Join(p.runtime(), "travel") // Podman makes names of paths, which must be in lower case
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return &travel{person: p, registry: dockerRegistry(t), dir: dir}
}

// is is an image by its id and the digest of its manifest.
type is struct{ id, digest string }

// push puts an image of the tests into the registry and says what it is.
func (tr *travel) push(name string) is {
	tr.t.Helper()
	image, err := travelled[name]()
	if err != nil {
		tr.t.Fatal(err)
	}
	ref, err := reference.ParseReference(tr.registry+"/"+name+":1", reference.Insecure)
	if err == nil {
		err = remote.Write(ref, image)
	}
	if err != nil {
		tr.t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		tr.t.Fatal(err)
	}
	id, err := image.ConfigName()
	if err != nil {
		tr.t.Fatal(err)
	}
	return is{id.String(), digest.String()}
}

// fresh is a path where nothing is yet.
func (tr *travel) fresh() string {
	tr.n++
	return filepath.Join(tr.dir, fmt.Sprint(tr.n))
}

// run runs somebody else's program, which must succeed.
func (tr *travel) run(program string, args ...string) string {
	tr.t.Helper()
	c := exec.Command(program, args...)
	c.Env = tr.env
	var errs strings.Builder
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		tr.t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, errs.String())
	}
	return string(out)
}

// skopeo copies, and keeps digests where it can.
func (tr *travel) skopeo(from, to string) {
	tr.t.Helper()
	tr.run("skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", "--dest-tls-verify=false", "-q", from, to)
}

// empty takes all images away.
func (tr *travel) empty() {
	tr.t.Helper()
	for id := range strings.FieldsSeq(tr.rootlet("images", "-aq", "--no-trunc")) {
		tr.try("rmi", "-f", id)
	}
	if left := tr.rootlet("images", "-aq"); left != "" {
		tr.t.Fatalf("images are left: %s", left)
	}
}

// has says what the only image is.
func (tr *travel) has() is {
	tr.t.Helper()
	fields := strings.Fields(tr.rootlet("images", "-a", "--no-trunc", "--format", "{{.ID}} {{.Digest}}"))
	if len(fields) != 2 {
		tr.t.Fatalf("images: %q", fields)
	}
	return is{fields[0], fields[1]}
}

func (tr *travel) compare(way string, want, got is) {
	tr.t.Helper()
	if got.id != want.id {
		tr.t.Errorf("%s: the id is %s, not %s", way, got.id, want.id)
	}
	if want.digest != "" && got.digest != want.digest {
		tr.t.Errorf("%s: the digest is %s, not %s", way, got.digest, want.digest)
	}
}

// formats are the places in files, as skopeo names them.
var formats = []string{"docker-archive", "oci-archive", "oci", "dir"}

// TestRoundTrips moves images through every format, with rootlet, skopeo and
// podman at either end: the image is the same, and its manifest's digest too,
// wherever the format can carry it (docs/images-in-files.md has the table). It
// cannot where skopeo writes or reads Docker's archive, for it has no manifest
// there and makes one; and where skopeo puts an image with Docker's manifest, or
// with a layer that is not compressed, into an OCI layout, for it changes it.
func TestRoundTrips(t *testing.T) {
	testenv.NeedUser(t)
	if testenv.Kind() == testenv.WithoutSubIDs {
		testenv.NotFor(t, "manifests and blobs, which are the same with one id")
	}
	testenv.NeedProgram(t, "skopeo")
	tr := newTravel(t)
	for name := range travelled {
		t.Run(name, func(t *testing.T) {
			tr.t = t
			tr.empty()
			want := tr.push(name)
			from := tr.registry + "/" + name + ":1"
			tr.rootlet("pull", "-q", from)
			tr.compare("pull", want, tr.has())
			tr.alone(name, want, from)
			tr.readBySkopeo(want, from)
			tr.writtenBySkopeo(name, want, from)
			if hasSubIDs() {
				tr.withPodman(name, want, from)
			}
			tr.empty()
		})
	}
}

// alone is pull, save, load, push, pull.
func (tr *travel) alone(name string, want is, from string) {
	tr.t.Helper()
	for _, format := range []string{"docker-archive", "oci-archive", "oci-dir", "docker-dir"} {
		path := tr.fresh()
		tr.rootlet("save", "--format", format, "-o", path, from)
		tr.empty()
		tr.rootlet("load", "-q", "-i", path)
		tr.compare("save "+format+", load", want, tr.has())
		to := tr.registry + "/again/" + format + ":2"
		tr.rootlet("push", "-q", want.id, to)
		tr.empty()
		tr.rootlet("pull", "-q", to)
		got := tr.has()
		if name == "layered" {
			got.digest = want.digest // the plain layer is sent with gzip, as all that load has unpacked
		}
		tr.compare("save "+format+", load, push, pull", want, got)
		tr.empty()
		tr.rootlet("pull", "-q", from)
	}
}

// readBySkopeo has skopeo read what rootlet wrote.
func (tr *travel) readBySkopeo(want is, from string) {
	tr.t.Helper()
	for _, format := range append([]string{"docker"}, formats...) {
		at := format + ":" + tr.fresh()
		if format == "docker" {
			at = "docker://" + tr.registry + "/by/rootlet:1"
		}
		tr.rootlet("push", "-q", from, at)
		dir := tr.fresh()
		tr.skopeo(at, "dir:"+dir)
		got := tr.inDir(dir)
		if format == "docker-archive" {
			got.digest = want.digest // of skopeo's own making
		}
		tr.compare("rootlet push "+format+", skopeo copy", want, got)
	}
}

// inDir says what is in a dir: of skopeo's.
func (tr *travel) inDir(dir string) is {
	tr.t.Helper()
	body, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		tr.t.Fatal(err)
	}
	m, err := v1.ParseManifest(strings.NewReader(string(body)))
	if err != nil {
		tr.t.Fatal(err)
	}
	return is{m.Config.Digest.String(), fmt.Sprintf("sha256:%x", sha256.Sum256(body))}
}

// writtenBySkopeo has rootlet read what skopeo wrote.
func (tr *travel) writtenBySkopeo(name string, want is, from string) {
	tr.t.Helper()
	for _, format := range formats {
		if name == "layered" && format == "docker-archive" {
			continue // skopeo has no zstd in one
		}
		at := format + ":" + tr.fresh()
		tr.skopeo("docker://"+from, at)
		tr.empty()
		tr.rootlet("pull", "-q", at)
		got := tr.has()
		switch {
		case format == "docker-archive":
			got.digest = want.digest
		case name == "docker" && strings.HasPrefix(format, "oci"):
			got = want // converted: another config, another manifest
		case name == "layered" && strings.HasPrefix(format, "oci"):
			got.digest = want.digest // the plain layer is compressed
		}
		tr.compare("skopeo copy "+format+", rootlet pull", want, got)
	}
	tr.empty()
	tr.rootlet("pull", "-q", from)
}

// withPodman has Podman read what rootlet wrote, and the other way round.
func (tr *travel) withPodman(name string, want is, from string) {
	tr.t.Helper()
	testenv.NeedProgram(tr.t, "podman")
	run := filepath.Join(tr.runtime(), "podman") // Podman takes no more than 50 characters here
	podman := func(args ...string) string {
		tr.t.Helper()
		own := []string{"--root", filepath.Join(tr.dir, "podman"), "--runroot", run, "--storage-driver", "vfs", "--log-level", "error"}
		return tr.run("podman", append(own, args...)...)
	}
	defer func() {
		podman("unshare", "rm", "-rf", filepath.Join(tr.dir, "podman"), run)
		podman("system", "migrate") // which ends the process that it leaves behind
	}()
	for _, format := range []string{"docker-archive", "oci-archive", "oci-dir", "docker-dir"} {
		path := tr.fresh()
		tr.rootlet("save", "--format", format, "-o", path, from)
		podman("load", "-q", "-i", path)
		got := strings.Fields(podman("images", "-a", "--no-trunc", "--format", "{{.ID}} {{.Digest}}"))
		if len(got) != 2 {
			tr.t.Fatalf("podman images: %q", got)
		}
		tr.compare("rootlet save "+format+", podman load", want, is{got[0], got[1]})

		if name == "layered" && strings.HasPrefix(format, "docker") {
			podman("rmi", "-af")
			continue // nor has Podman
		}
		again := tr.fresh()
		podman("save", "-q", "--format", format, "-o", again, strings.TrimPrefix(got[0], "sha256:"))
		podman("rmi", "-af")
		tr.empty()
		tr.rootlet("load", "-q", "-i", again)
		if back := tr.has(); name != "docker" || format == "docker-archive" || format == "docker-dir" {
			back.digest = "" // podman compresses anew, or not at all
			tr.compare("podman save "+format+", rootlet load", is{want.id, ""}, back)
		}
		tr.empty()
		tr.rootlet("pull", "-q", from)
	}
}
