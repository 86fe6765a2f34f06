package pull

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

func TestDerive(t *testing.T) {
	const config = `{"architecture":"amd64","os":"linux","container":"x","config":{"Env":["A=1"],"Cmd":["old"],"WorkingDir":"/w","Volumes":{"/v":{}},"Labels":{"k":"v"}},` +
		`"rootfs":{"type":"layers","diff_ids":["sha256:1111111111111111111111111111111111111111111111111111111111111111"]},"history":[{"created_by":"base"}]}`
	const manifest = `{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json",` +
		`"config":{"mediaType":"application/vnd.docker.container.image.v1+json","size":1,"digest":"sha256:2222222222222222222222222222222222222222222222222222222222222222"},` +
		`"layers":[{"mediaType":"application/vnd.docker.image.rootfs.diff.tar.gzip","size":9,"digest":"sha256:3333333333333333333333333333333333333333333333333333333333333333"}]}`
	added := &AddedLayer{DiffID: "sha256:" + strings.Repeat("4", 64), Size: 77}
	created := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	d := Derivation{
		Base: ImageRecord{Config: []byte(config), Manifest: []byte(manifest)}, Layer: added, Created: created, Author: "me", Comment: "why", CreatedBy: "sh",
		Process: Process{Cmd: []string{"new"}, Env: []string{"A=2"}, Volumes: []string{"/more"}, ExposedPorts: []string{"80/tcp"}},
		Changes: []string{"LABEL more=1"},
	}
	image, err := Derive(d)
	if err != nil {
		t.Fatal(err)
	}
	var c v1.ConfigFile
	var m v1.Manifest
	if err := json.Unmarshal(image.Config, &c); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(image.Manifest, &m); err != nil {
		t.Fatal(err)
	}
	if image.ID != strings.TrimPrefix(digestOf(image.Config), "sha256:") || image.Digest != digestOf(image.Manifest) || m.Config.Digest.Hex != image.ID {
		t.Errorf("id %s, digest %s, manifest %+v", image.ID, image.Digest, m.Config)
	}
	if c.Config.Cmd[0] != "new" || c.Config.Env[0] != "A=2" || c.Config.WorkingDir != "/w" || len(c.Config.Volumes) != 2 || len(c.Config.ExposedPorts) != 1 || len(c.Config.Labels) != 2 || c.Container != "" {
		t.Errorf("config %+v", c.Config)
	}
	h := c.History
	if len(h) != 2 || h[0].CreatedBy != "base" || h[1].CreatedBy != "sh" || h[1].Comment != "why" || h[1].EmptyLayer || !c.Created.Equal(created) || c.Author != "me" {
		t.Errorf("history %+v", h)
	}
	if len(m.Layers) != 2 || m.Layers[0].MediaType != types.OCILayer || m.Layers[1].MediaType != types.OCIUncompressedLayer || m.Layers[1].Size != 77 || m.Layers[1].Digest.String() != added.DiffID {
		t.Errorf("layers %+v", m.Layers)
	}
	ids, err := DiffIDs(image.Config)
	if err != nil || len(ids) != 2 || ids[1] != added.DiffID || image.TopLayer != TopLayer(ids) || TopLayer(ids) == TopLayer(ids[:1]) {
		t.Errorf("diff ids %v, top %s, %v", ids, image.TopLayer, err)
	}
	if _, err := parseConfig(image.Config, len(m.Layers)); err != nil {
		t.Errorf("a pull would refuse it: %v", err)
	}

	d.Layer = nil
	if image, err = Derive(d); err != nil {
		t.Fatal(err)
	}
	ids, _ = DiffIDs(image.Config)
	if len(ids) != 1 || !strings.Contains(string(image.Config), `"empty_layer":true`) {
		t.Errorf("without a layer: %s", image.Config)
	}
	d.Changes = []string{"FROM x"}
	if _, err := Derive(d); err == nil {
		t.Error("FROM was taken")
	}
}
