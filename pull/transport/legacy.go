package transport

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"rootlet/pull"
)

// repositoriesFile names the images of an archive made by Docker before 1.10
// (moby, image/spec/v1.md): a directory for each layer, whose file json is the
// configuration of the image that ends with it and says what lies below.
const repositoriesFile = "repositories"

// legacyConfig is the part of such a file that is read.
type legacyConfig struct {
	ID           string          `json:"id"`
	Parent       string          `json:"parent"`
	Created      json.RawMessage `json:"created"`
	Author       string          `json:"author"`
	Comment      string          `json:"comment"`
	Architecture string          `json:"architecture"`
	OS           string          `json:"os"`
	Config       json.RawMessage `json:"config"`
	Container    struct {
		Cmd []string `json:"Cmd"`
	} `json:"container_config"`
}

func openLegacy(ctx context.Context, from files) (*docker, error) {
	d := newDocker(from)
	text, err := d.document(repositoriesFile)
	if err != nil {
		return nil, err
	}
	var repositories map[string]map[string]string
	if err := understand(repositoriesFile, text, &repositories, "a list of images as old versions of docker save wrote it"); err != nil {
		return nil, err
	}
	tags := map[string][]string{}
	for repository, byTag := range repositories {
		for tag, id := range byTag {
			tags[id] = append(tags[id], repository+":"+tag)
		}
	}
	if len(tags) > maxImages {
		return nil, fmt.Errorf("%s: more than %d images", repositoriesFile, maxImages)
	}
	for _, id := range slices.Sorted(maps.Keys(tags)) {
		slices.Sort(tags[id])
		if err := d.addLegacy(ctx, id, tags[id]); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// addLegacy makes config and manifest of one image.
func (d *docker) addLegacy(ctx context.Context, id string, tags []string) error {
	chain, err := d.chain(id)
	if err != nil {
		return err
	}
	config := map[string]any{}
	diffIDs, layers, history := []string{}, []v1.Descriptor{}, []v1.History{}
	for _, c := range slices.Backward(chain) {
		l, err := d.tarLayer(ctx, c.ID+"/layer.tar")
		if err != nil {
			return fmt.Errorf("layer %s: %w", c.ID, err)
		}
		layers, diffIDs = append(layers, l), append(diffIDs, l.Digest.String())
		history = append(history, c.history())
	}
	top := chain[0]
	for key, value := range map[string]string{"architecture": top.Architecture, "os": top.OS, "author": top.Author} {
		if value != "" {
			config[key] = value
		}
	}
	for key, value := range map[string]json.RawMessage{"created": top.Created, "config": top.Config} {
		if len(value) > 0 {
			config[key] = value
		}
	}
	config["history"] = history
	config["rootfs"] = map[string]any{"type": "layers", "diff_ids": diffIDs}
	text, err := json.Marshal(config) // keys in order: the same archive, the same id
	if err != nil {
		return err
	}
	digest := digestOf(text)
	d.made[digest.String()] = text
	return d.put(v1.Descriptor{MediaType: types.OCIConfigJSON, Digest: digest, Size: int64(len(text))}, layers, tags)
}

func (c legacyConfig) history() v1.History {
	h := v1.History{Author: c.Author, Comment: c.Comment}
	_ = json.Unmarshal(c.Created, &h.Created) // or it says nothing of when
	if n := len(c.Container.Cmd); n > 0 {
		h.CreatedBy = c.Container.Cmd[n-1]
	}
	return h
}

// chain are the configurations from the top down.
func (d *docker) chain(id string) ([]legacyConfig, error) {
	var chain []legacyConfig
	for id != "" {
		if len(chain) == maxLayers {
			return nil, fmt.Errorf("more than %d layers, or one below itself", maxLayers)
		}
		text, err := d.document(id + "/json")
		if err != nil {
			return nil, fmt.Errorf("layer %q: %w", id, err)
		}
		var c legacyConfig
		if err := json.Unmarshal(text, &c); err != nil {
			return nil, fmt.Errorf("layer %q: %w", id, err)
		}
		c.ID = id
		chain = append(chain, c)
		id = c.Parent
	}
	if len(chain) == 0 {
		return nil, fmt.Errorf("%s: an image without a layer", repositoriesFile)
	}
	return chain, nil
}

// tarLayer is a layer that nobody has named by its digest.
func (d *docker) tarLayer(ctx context.Context, name string) (v1.Descriptor, error) {
	return d.describe(name, func(mediaType types.MediaType, c *content) (v1.Hash, error) {
		if mediaType != types.OCIUncompressedLayer {
			return v1.Hash{}, fmt.Errorf("%s is compressed, which this format does not have", name)
		}
		return hashOf(ctx, c)
	})
}

var _ pull.Source = (*docker)(nil)
