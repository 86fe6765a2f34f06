package inspect

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"rootlet/fuseoverlay"
)

// Image is `docker image inspect`.
type Image struct {
	ID           string `json:"Id"`
	RepoTags     []string
	RepoDigests  []string
	Comment      string
	Created      string
	Author       string
	Config       ImageConfig
	Architecture string
	Variant      string
	OS           string `json:"Os"`
	OSVersion    string `json:"OsVersion"`
	Size         int64
	GraphDriver  GraphDriver
	RootFS       RootFS
	Metadata     Metadata
	Descriptor   Descriptor
	Manifests    []struct{}
	Identity     *struct{}
}

// ImageConfig is what a container of the image begins with (OCI image-spec,
// config.md, and Docker's additions).
type ImageConfig struct {
	User         string              `json:",omitempty"`
	ExposedPorts map[string]struct{} `json:",omitempty"`
	Env          []string            `json:",omitempty"`
	Entrypoint   []string            `json:",omitempty"`
	Cmd          []string            `json:",omitempty"`
	Volumes      map[string]struct{} `json:",omitempty"`
	WorkingDir   string              `json:",omitempty"`
	Labels       map[string]string   `json:",omitempty"`
	StopSignal   string              `json:",omitempty"`
	Healthcheck  *Healthcheck        `json:",omitempty"`
	OnBuild      []string            `json:",omitempty"`
	Shell        []string            `json:",omitempty"`
}

// RootFS are an image's layers, the lowest first.
type RootFS struct {
	Type   string
	Layers []string `json:",omitempty"`
}

// Metadata is what this host knows of an image.
type Metadata struct{ LastTagTime string }

// Descriptor points to a manifest (OCI image-spec, descriptor.md).
type Descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

// ImageOf describes an image. familiar is how a full name is shown.
func ImageOf(i *fuseoverlay.Image, layers []string, familiar func(name string) (repository, tag string)) (Image, error) {
	var config struct {
		Created      *time.Time
		Author       string
		Architecture string
		Variant      string
		OS           string `json:"os"`
		OSVersion    string `json:"os.version"`
		Config       ImageConfig
		RootFS       struct {
			Type    string
			DiffIDs []string `json:"diff_ids"`
		}
		Comment string
		History []struct{ Comment string }
	}
	if err := json.Unmarshal(i.Config, &config); err != nil {
		return Image{}, fmt.Errorf("image configuration: %w", err)
	}
	image := Image{
		ID: imageID(i.ID), RepoTags: []string{}, RepoDigests: []string{}, Comment: config.Comment, Created: stamp(i.Created),
		Author: config.Author, Config: config.Config, Architecture: config.Architecture, Variant: config.Variant, OS: config.OS,
		OSVersion: config.OSVersion, Size: i.Size, GraphDriver: GraphDriver{Name: "overlay", Data: layerData(layers)},
		RootFS:   RootFS{Type: config.RootFS.Type, Layers: config.RootFS.DiffIDs},
		Metadata: Metadata{LastTagTime: stamp(time.Time{})}, Descriptor: descriptorOf(i.Manifest),
	}
	if config.Created != nil {
		image.Created = stamp(*config.Created)
	}
	if last := len(config.History) - 1; image.Comment == "" && last >= 0 {
		image.Comment = config.History[last].Comment
	}
	if image.RootFS.Type == "" {
		image.RootFS.Type = "layers"
	}
	image.addNames(i, familiar)
	return image, nil
}

func (image *Image) addNames(i *fuseoverlay.Image, familiar func(string) (string, string)) {
	for _, name := range i.Names {
		repository, tag := familiar(name)
		if !strings.Contains(name, "@") {
			image.RepoTags = append(image.RepoTags, repository+":"+tag)
		}
		if digest := repository + "@" + i.Digest; i.Digest != "" && !slices.Contains(image.RepoDigests, digest) {
			image.RepoDigests = append(image.RepoDigests, digest)
		}
	}
}

// layerData says where the layers are, the topmost first.
func layerData(layers []string) map[string]string {
	data := map[string]string{}
	if len(layers) > 0 {
		data["UpperDir"] = layers[0]
	}
	if len(layers) > 1 {
		data["LowerDir"] = strings.Join(layers[1:], ":")
	}
	return data
}

func descriptorOf(manifest []byte) Descriptor {
	var m struct{ MediaType string }
	_ = json.Unmarshal(manifest, &m) // a manifest without a type has one by how it came (OCI image-spec, manifest.md)
	sum := sha256.Sum256(manifest)
	return Descriptor{MediaType: m.MediaType, Digest: "sha256:" + hex.EncodeToString(sum[:]), Size: int64(len(manifest))}
}
