package pull

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"sync"
)

// memStore is a Store in memory that keeps the rules of the interface and
// reports when the package breaks them.
type memStore struct {
	mu     sync.Mutex
	layers map[string]LayerRecord
	bytes  map[string]string      // by ChainID, the digest of the tar that was read
	images map[string]ImageRecord // by name
	tops   map[string]bool        // TopLayer of all images, with a name or without

	staged    int // not committed, not discarded
	fetched   int // StageLayer calls
	broken    []string
	stageErr  error // of every StageLayer, after some bytes
	commitErr error // of the commitAt-th Commit
	commitAt  int
	putErr    error
	inside    int             // EnterInstall without leave
	locked    map[string]bool // by ChainID
	lazy      bool            // stop reading before the end
}

func newMemStore() *memStore {
	return &memStore{layers: map[string]LayerRecord{}, bytes: map[string]string{}, images: map[string]ImageRecord{}, tops: map[string]bool{}, locked: map[string]bool{}}
}

func (s *memStore) HasLayer(chainID string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.layers[chainID]
	return ok, nil
}

func (s *memStore) LayerBlob(chainID string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.layers[chainID].BlobDigest, nil
}

func (s *memStore) StageLayer(_ context.Context, tar io.Reader, _ Limits) (StagedLayer, error) {
	s.mu.Lock()
	s.fetched++
	s.mu.Unlock()
	h := sha256.New()
	if s.lazy || s.stageErr != nil {
		if _, err := io.CopyN(h, tar, 1024); err != nil {
			return nil, fmt.Errorf("unpack: %w", err)
		}
	} else if _, err := io.Copy(h, tar); err != nil {
		return nil, fmt.Errorf("unpack: %w", err)
	}
	if s.stageErr != nil {
		return nil, s.stageErr
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.staged++
	return &memStaged{store: s, digest: "sha256:" + hex.EncodeToString(h.Sum(nil))}, nil
}

func (s *memStore) PutImage(r ImageRecord) error {
	if s.putErr != nil {
		return s.putErr
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.layers[r.TopLayer]; !ok && r.TopLayer != "" {
		s.broken = append(s.broken, "image before its top layer")
	}
	s.tops[r.TopLayer] = true
	for _, name := range r.Names {
		s.images[name] = r
	}
	return nil
}

func (s *memStore) LookUp(name string) (string, string, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.images[name]
	return r.ID, r.Digest, ok, nil
}

// unlike says how the store differs from one that has only n layers and i
// images, and no rule broken.
func (s *memStore) unlike(layers, images int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inside != 0 || len(s.locked) != 0 {
		return fmt.Errorf("store: %d still bring images in, %d layers are locked", s.inside, len(s.locked))
	}
	if s.staged != 0 || len(s.layers) != layers || len(s.images) != images || len(s.broken) > 0 {
		return fmt.Errorf("store: %d staged, %d layers (want %d), %d images (want %d), broken rules: %q",
			s.staged, len(s.layers), layers, len(s.images), images, s.broken)
	}
	return nil
}

func (s *memStore) EnterInstall() (func() error, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inside++
	return func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.inside--; s.inside > 0 {
			return nil
		}
		needed := map[string]bool{}
		for top := range s.tops {
			for id := top; id != ""; id = s.layers[id].Parent {
				needed[id] = true
			}
		}
		maps.DeleteFunc(s.layers, func(id string, _ LayerRecord) bool { return !needed[id] })
		return nil
	}, nil
}

func (s *memStore) LockLayer(chainID string) (func(), bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.locked[chainID] {
		return nil, false, nil
	}
	s.locked[chainID] = true
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.locked, chainID)
	}, true, nil
}

func (s *memStore) LiveBlobs() (map[string]bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	live := map[string]bool{}
	for _, image := range s.images {
		for _, d := range BlobsOf(image.Manifest) {
			live[d] = true
		}
	}
	return live, nil
}

func (s *memStore) layerCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.layers)
}

type memStaged struct {
	store     *memStore
	digest    string
	committed string
}

func (l *memStaged) Commit(r LayerRecord) error {
	s := l.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.commitErr != nil && len(s.layers) == s.commitAt {
		return s.commitErr
	}
	if _, ok := s.layers[r.Parent]; !ok && r.Parent != "" {
		s.broken = append(s.broken, "layer before its parent")
	}
	if r.DiffID != l.digest && !s.lazy {
		s.broken = append(s.broken, "committed as "+r.DiffID+" what was read as "+l.digest)
	}
	s.staged--
	s.layers[r.ChainID], s.bytes[r.ChainID], l.committed = r, l.digest, r.ChainID
	return nil
}

func (l *memStaged) Discard() error {
	s := l.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.committed == "" {
		s.staged--
	}
	return nil
}
