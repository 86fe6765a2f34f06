package fuseoverlay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"rootlet/fuseoverlay/unpack"
	"rootlet/internal/reserve"

	digest "github.com/opencontainers/go-digest"
	"go.podman.io/storage"
	drivers "go.podman.io/storage/drivers"
	"golang.org/x/sys/unix"
)

// LayerRecord says what a layer is. Digests are spelled "sha256:HEX".
type LayerRecord struct {
	ChainID    string // identifies it together with all that is below (OCI image specification, config.md)
	Parent     string // chain id of the layer below; empty for the lowest
	DiffID     string // digest of the uncompressed archive
	BlobDigest string // digest of what was fetched; may be empty
	Size       int64  // of the uncompressed archive, in bytes
}

// HasLayer says that the layer is there, whole.
func (s *Store) HasLayer(chainID string) bool {
	id, err := layerID(chainID)
	if err != nil {
		return false
	}
	l, err := s.store.Layer(id)
	return err == nil && l.ID == id
}

// LayerBlob is the digest of the blob that a layer was unpacked from, empty where
// that is not known.
func (s *Store) LayerBlob(chainID string) (string, error) {
	id, err := layerID(chainID)
	if err != nil {
		return "", err
	}
	l, err := s.store.Layer(id)
	if errors.Is(err, storage.ErrLayerUnknown) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("layer %s: %w", chainID, err)
	}
	return l.CompressedDigest.String(), nil
}

// LayerLimits bound what a layer may cost; zero fields have defaults.
type LayerLimits struct {
	unpack.Limits
	FreePercent int // of the disk, that stay free; see package reserve
}

// StageLayer unpacks a layer where nobody sees it yet. Layers may be staged in
// any order, several at a time; no lock is held. It reads the archive, which
// must be uncompressed, to its very end, so that a digest computed on the way
// is that of the whole. Without limits of its own it has those of unpack, and
// leaves a part of the disk free.
func (s *Store) StageLayer(ctx context.Context, tar io.Reader, limits LayerLimits) (*StagedLayer, error) {
	area, err := s.newStagingArea()
	if err != nil {
		return nil, fmt.Errorf("stage layer: %w", err)
	}
	staged := &StagedLayer{store: s, area: area}
	if err := staged.fill(ctx, tar, limits); err != nil {
		return nil, errors.Join(fmt.Errorf("unpack layer: %w", err), staged.Discard())
	}
	return staged, nil
}

// StagedLayer is an unpacked layer that is not in the store yet.
type StagedLayer struct {
	store  *Store
	area   *stagingArea
	result *unpack.Result
}

// Result says what unpacking came across.
func (l *StagedLayer) Result() unpack.Result { return *l.result }

// fill unpacks and syncs. The sync is done here, where no lock is held, so that
// the one that containers/storage does under its lock finds little to do.
func (l *StagedLayer) fill(ctx context.Context, tar io.Reader, limits LayerLimits) error {
	root, err := unix.Open(l.area.layerDir(), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	kept := reserve.On(root, limits.FreePercent).Reader(tar)
	l.result, err = unpack.Unpack(ctx, kept, root, unpack.Options{Limits: limits.Limits, OneID: onlyOneID()})
	if err != nil {
		return err
	}
	if err := unix.Syncfs(root); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return nil
}

// Discard removes a staged layer. After Commit it does nothing.
func (l *StagedLayer) Discard() error { return l.area.remove() }

// Commit puts the layer into the store; its parent must be there. From then on
// it is visible, whole. When another process was first with the same layer,
// that one stays and this one is dropped. The caller need not Discard.
func (l *StagedLayer) Commit(r LayerRecord) error {
	defer func() { _ = l.area.remove() }()
	args, err := l.applyArgs(r)
	if err != nil {
		return fmt.Errorf("commit layer: %w", err)
	}
	if err := l.inherit(args.ParentLayer); err != nil {
		return fmt.Errorf("commit layer %s: %w", r.ChainID, err)
	}
	// ApplyStagedLayer replaces the contents of a layer that exists, under the
	// feet of containers: nobody else may commit between the question and it.
	unlock, err := l.store.flock(commitLock, unix.LOCK_EX)
	if err != nil {
		return fmt.Errorf("commit layer: %w", err)
	}
	defer unlock()
	if l.store.HasLayer(r.ChainID) {
		return nil
	}
	if _, err := l.store.store.ApplyStagedLayer(args); err != nil {
		return fmt.Errorf("commit layer %s: %w", r.ChainID, err)
	}
	if err := l.store.config.markWhole(filepath.Dir(l.store.layerDir(args.ID))); err != nil {
		return fmt.Errorf("commit layer %s: %w", r.ChainID, err)
	}
	return nil
}

// applyArgs says it in containers/storage's words. The mode of the root is the
// layer's own, which inherit has seen to.
func (l *StagedLayer) applyArgs(r LayerRecord) (storage.ApplyStagedLayerOptions, error) {
	var none storage.ApplyStagedLayerOptions
	id, err := layerID(r.ChainID)
	if err != nil {
		return none, err
	}
	parent := ""
	if r.Parent != "" {
		if parent, err = layerID(r.Parent); err != nil {
			return none, err
		}
	}
	mode := os.FileMode(0)
	return storage.ApplyStagedLayerOptions{
		ID:          id,
		ParentLayer: parent,
		DiffOptions: &drivers.ApplyDiffWithDifferOpts{},
		DiffOutput: &drivers.DriverWithDifferOutput{
			Target:             l.area.layerDir(),
			Size:               r.Size,
			UncompressedDigest: digest.Digest(r.DiffID),
			CompressedDigest:   digest.Digest(r.BlobDigest),
			RootDirMode:        &mode,
		},
	}, nil
}

// layerID is the id in the store of the layer with that chain id.
func layerID(chainID string) (string, error) {
	hex := strings.TrimPrefix(chainID, "sha256:")
	if digest.NewDigestFromEncoded(digest.SHA256, hex).Validate() != nil {
		return "", fmt.Errorf("%q is no sha256 digest", chainID)
	}
	return hex, nil
}

// layerDir is where the files of a layer are.
func (s *Store) layerDir(id string) string { return filepath.Join(s.layers, id, "diff") }

// chain lists the directories of the layer and of all below it, topmost first.
// The list of layers says which they are, not the files that containers/storage
// keeps beside each.
func (s *Store) chain(top string) ([]string, error) {
	var dirs []string
	for id := top; id != ""; {
		l, err := s.store.Layer(id)
		if errors.Is(err, storage.ErrLayerUnknown) || len(dirs) > mostLayers {
			return nil, &DamagedError{What: "layer " + id, Err: errors.New("it is not on the list")}
		}
		if err != nil {
			return nil, fmt.Errorf("layer %s: %w", id, err)
		}
		dirs = append(dirs, s.layerDir(id))
		id = l.Parent
	}
	return dirs, nil
}

// mostLayers is more than any image has, and ends a circle.
const mostLayers = 10_000
