package fuseoverlay

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"rootlet/fuseoverlay/internal/testns"
)

// commitLayer commits a layer that no image has.
func commitLayer(t *testing.T, s *Store, parent string, archive []byte) string {
	t.Helper()
	diffID := sum(string(archive))
	chain := diffID
	if parent != "" {
		chain = sum(parent + " " + diffID)
	}
	staged, err := s.StageLayer(context.Background(), bytes.NewReader(archive), LayerLimits{})
	if err != nil {
		t.Fatal(err)
	}
	if err := staged.Commit(LayerRecord{ChainID: chain, Parent: parent, DiffID: diffID, Size: int64(len(archive))}); err != nil {
		t.Fatal(err)
	}
	return chain
}

// TestLastToLeaveTidies has two bring images in; what one of them gives up goes
// when both are done, and nothing that an image has.
func TestLastToLeaveTidies(t *testing.T) {
	testns.Need(t)
	s := openStore(t, "")
	base, top := layer(t, file("base", "b")), layer(t, file("top", "t"))
	image := putImage(t, s, "example.com/a:1", base)
	leaveOne, err := s.EnterInstall()
	if err != nil {
		t.Fatal(err)
	}
	leaveTwo, err := s.EnterInstall()
	if err != nil {
		t.Fatal(err)
	}
	one := commitLayer(t, s, sum(string(base)), top)
	two := commitLayer(t, s, one, layer(t, file("two", "2")))
	if _, ok, err := s.tryInstallAlone(); ok || err != nil {
		t.Errorf("alone among two: %v, %v", ok, err)
	}
	if err := leaveOne(); err != nil {
		t.Fatal(err)
	}
	if !s.HasLayer(one) || !s.HasLayer(two) {
		t.Error("layers went while somebody may need them")
	}
	if err := leaveTwo(); err != nil {
		t.Fatal(err)
	}
	if s.HasLayer(one) || s.HasLayer(two) || !s.HasLayer("sha256:"+image.TopLayer) {
		t.Errorf("left: one %v, two %v", s.HasLayer(one), s.HasLayer(two))
	}
	unlock, ok, err := s.tryInstallAlone()
	if !ok || err != nil {
		t.Fatalf("alone: %v, %v", ok, err)
	}
	unlock()
}

func TestLockLayer(t *testing.T) {
	testns.Need(t)
	s := openStore(t, "")
	a, b := sum("a"), sum("b")
	unlock, ok, err := s.LockLayer(a)
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	if _, ok, err := s.LockLayer(a); ok || err != nil {
		t.Errorf("a second time: %v, %v", ok, err)
	}
	unlockB, ok, err := s.LockLayer(b)
	if !ok || err != nil {
		t.Fatalf("another layer: %v, %v", ok, err)
	}
	unlock()
	unlockB()
	if unlock, ok, err = s.LockLayer(a); !ok || err != nil {
		t.Fatalf("after unlock: %v, %v", ok, err)
	}
	unlock()
	if left, err := os.ReadDir(filepath.Join(s.config.GraphRoot, "rootlet-layers")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if _, _, err := s.LockLayer("sha256:../../x"); err == nil {
		t.Error("a lock on no digest")
	}
}
