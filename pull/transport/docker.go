package transport

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"rootlet/pull"
)

// manifestFile lists the images of an archive that `docker save` made (moby,
// image/spec/v1.2.md). A directory of kind dir has a file of the same name.
const manifestFile = "manifest.json"

// maxLayers is what package pull takes, too; here it bounds what is read first.
const maxLayers = 500

// maxNames bounds those of one image.
const maxNames = 1000

// dockerImage is an entry of manifestFile.
type dockerImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// config are the digits of the config's digest, where its name is made of them.
func (i dockerImage) config() string { return strings.TrimSuffix(path.Base(i.Config), ".json") }

// dockerImages reads manifestFile.
func dockerImages(text []byte) ([]dockerImage, error) {
	images := []dockerImage{}
	err := understand(manifestFile, text, &images, "a list of images as docker save writes it")
	return images, err
}

// docker is an archive of Docker's own format. It has no manifests, so they are
// made here: the same archive has the same ones, and its layers are named by the
// digests of what is in it.
type docker struct {
	documents
	images    []Listed
	manifests map[string][]byte
	blobs     map[string]string        // digest: the file that has it
	layers    map[string]v1.Descriptor // file: what it is, as far as that is known
	made      map[string][]byte        // digest: what stands in no file
}

func newDocker(from files) *docker {
	return &docker{
		documents: documents{files: from}, manifests: map[string][]byte{}, blobs: map[string]string{},
		layers: map[string]v1.Descriptor{}, made: map[string][]byte{},
	}
}

func openDocker(ctx context.Context, from files) (*docker, error) {
	d := newDocker(from)
	text, err := d.document(manifestFile)
	if err != nil {
		return nil, err
	}
	images, err := dockerImages(text)
	if err != nil {
		return nil, err
	}
	if len(images) > maxImages {
		return nil, fmt.Errorf("%s: more than %d images", manifestFile, maxImages)
	}
	for _, i := range images {
		if err := d.add(ctx, i); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// add makes the manifest of one image.
func (d *docker) add(ctx context.Context, i dockerImage) error {
	config, err := d.document(i.Config)
	if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	digest := digestOf(config)
	if stem := i.config(); len(stem) == 64 && stem != digest.Hex {
		return fmt.Errorf("config %s has digest %s", i.Config, digest)
	}
	diffIDs, err := pull.DiffIDs(config)
	if err != nil {
		return err
	}
	if len(diffIDs) != len(i.Layers) || len(diffIDs) > maxLayers {
		return fmt.Errorf("%s: %d layers, and the config lists %d DiffIDs", manifestFile, len(i.Layers), len(diffIDs))
	}
	d.blobs[digest.String()] = i.Config
	layers := []v1.Descriptor{} // an empty list in the manifest, not null
	for n, name := range i.Layers {
		l, err := d.layer(ctx, name, diffIDs[n])
		if err != nil {
			return fmt.Errorf("layer %q: %w", name, err)
		}
		layers = append(layers, l)
	}
	return d.put(v1.Descriptor{MediaType: types.OCIConfigJSON, Digest: digest, Size: int64(len(config))}, layers, i.RepoTags)
}

// put lists an image.
func (d *docker) put(config v1.Descriptor, layers []v1.Descriptor, tags []string) error {
	body, err := json.Marshal(v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Config: config, Layers: layers,
	})
	if err != nil {
		return err
	}
	id := digestOf(body).String()
	d.manifests[id] = body
	if len(tags) > maxNames {
		return fmt.Errorf("%s: an image with more than %d names", manifestFile, maxNames)
	}
	i := Listed{Identifier: id}
	for _, tag := range tags {
		ref, err := pull.ParseReference(tag)
		if err != nil {
			return fmt.Errorf("%s: %w", manifestFile, err)
		}
		if name := ref.Name(); !slices.Contains(i.Names, name) {
			i.Names = append(i.Names, name)
		}
	}
	d.images = append(d.images, i)
	return nil
}

// layer says what a layer's file is. It is named by the DiffID where it is a
// tar, and else by its own digest, for which it must be read where its name is
// not that; package pull compares both.
func (d *docker) layer(ctx context.Context, name, diffID string) (v1.Descriptor, error) {
	return d.describe(name, func(mediaType types.MediaType, c *content) (v1.Hash, error) {
		if mediaType == types.OCIUncompressedLayer {
			digest, err := v1.NewHash(diffID)
			if err != nil {
				err = fmt.Errorf("DiffID: %w", err)
			}
			return digest, err
		}
		if claimed, err := v1.NewHash("sha256:" + path.Base(name)); err == nil {
			return claimed, nil
		}
		return hashOf(ctx, c)
	})
}

// describe finds out once what a layer's file is, and its digest by naming it.
func (d *docker) describe(name string, digest func(types.MediaType, *content) (v1.Hash, error)) (v1.Descriptor, error) {
	if l, known := d.layers[name]; known {
		return l, nil
	}
	c, err := d.open(name)
	if err != nil {
		return v1.Descriptor{}, err
	}
	defer c.Close()
	l := v1.Descriptor{Size: c.Size()}
	if l.MediaType, err = sniffLayer(c); err != nil {
		return l, err
	}
	if l.Digest, err = digest(l.MediaType, c); err != nil {
		return l, err
	}
	d.layers[name], d.blobs[l.Digest.String()] = l, name
	return l, nil
}

// Images implements Store.
func (d *docker) Images() ([]Listed, error) { return d.images, nil }

// Find implements Store. @N is the image with that number, as in skopeo.
func (d *docker) Find(image string) (Listed, error) {
	if image == "" {
		return only(d.images)
	}
	if strings.HasPrefix(image, "@") {
		n, err := numberOf(image, len(d.images))
		if err != nil {
			return Listed{}, err
		}
		return d.images[n], nil
	}
	full := fullName(image)
	var names []string
	for _, i := range d.images {
		if full != "" && slices.Contains(i.Names, full) {
			return Listed{i.Identifier, []string{full}}, nil
		}
		names = append(names, i.Names...)
	}
	return Listed{}, fmt.Errorf("no image %q in it; there is %s", image, listing(names))
}

// numberOf reads @N, where there are that many images.
func numberOf(image string, images int) (int, error) {
	n, err := strconv.Atoi(strings.TrimPrefix(image, "@"))
	if err != nil || n < 0 || n >= images {
		return 0, fmt.Errorf("no image %s in it: there are %d, from @0", image, images)
	}
	return n, nil
}

// Manifest implements pull.Source.
func (d *docker) Manifest(_ context.Context, identifier string) ([]byte, types.MediaType, error) {
	if identifier == "" {
		found, err := only(d.images)
		if err != nil {
			return nil, "", err
		}
		identifier = found.Identifier
	}
	body, there := d.manifests[identifier]
	if !there {
		return nil, "", fmt.Errorf("no manifest %s in it", identifier)
	}
	return body, types.OCIManifestSchema1, nil
}

// Blob implements pull.Source.
func (d *docker) Blob(_ context.Context, digest string, size, offset int64) (io.ReadCloser, error) {
	if text, there := d.made[digest]; there {
		return from(text, offset), nil
	}
	name, there := d.blobs[digest]
	if !there {
		return nil, fmt.Errorf("no blob %s in it", digest)
	}
	c, err := d.open(name)
	if err != nil {
		return nil, err
	}
	return c.from(name, size, offset)
}
