package fuseoverlay

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	digest "github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay/tree"
)

// checkContents unpacks each layer anew, where what it came from is kept, and
// compares. A layer that is broken is replaced by what comes out.
func (a *audit) checkContents() error {
	for _, l := range a.inOrder() {
		if a.Quick && a.broken[l.id] == "" {
			continue
		}
		if err := a.ctx.Err(); err != nil {
			return err
		}
		if err := a.checkContent(l); err != nil {
			return err
		}
	}
	return nil
}

func (a *audit) checkContent(l *wantedLayer) error {
	if why := a.broken[l.parent]; l.parent != "" && why != "" {
		return nil // what it inherits cannot be told, and its images are lost
	}
	if !a.Repair && a.broken[l.id] != "" {
		return nil
	}
	staged, err := a.unpackAgain(l)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errOtherContent) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("layer %s: %w", short(l.id), err)
	}
	defer func() { _ = staged.Discard() }()
	why := a.broken[l.id]
	if why == "" {
		at, err := sameTrees(a.store.layerDir(l.id), staged.area.layerDir())
		if err != nil {
			return fmt.Errorf("layer %s: %w", short(l.id), err)
		}
		if at == "" {
			return nil
		}
		why = fmt.Sprintf("%q is not as it was unpacked", at)
		a.broken[l.id] = why
	}
	if !a.Repair {
		return nil
	}
	if name := a.runningOn(l.images); name != "" {
		a.found("layer "+short(l.id), why+"; container "+name+" runs on it, stop it first", "")
		delete(a.broken, l.id)
		return nil
	}
	if err := a.replace(l, staged); err != nil {
		return fmt.Errorf("restore layer %s: %w", short(l.id), err)
	}
	delete(a.broken, l.id)
	a.found("layer "+short(l.id), why, "unpacked again")
	return nil
}

// runningOn names a container that is up and made of one of these images.
func (a *audit) runningOn(images []string) string {
	if a.Running == nil {
		return ""
	}
	for _, image := range images {
		if name := a.Running(image); name != "" {
			return name
		}
	}
	return ""
}

// errOtherContent says that a blob is not what the layer was made of.
var errOtherContent = errors.New("other content")

// unpackAgain stages a layer from a blob that is kept.
func (a *audit) unpackAgain(l *wantedLayer) (*StagedLayer, error) {
	if a.OpenLayer == nil {
		return nil, fs.ErrNotExist
	}
	for _, blob := range l.blobs {
		archive, err := a.OpenLayer(a.ctx, blob)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		staged, err := a.stage(a.ctx, archive, l)
		archive.Close()
		if err == nil || !errors.Is(err, errOtherContent) {
			return staged, err
		}
	}
	return nil, fs.ErrNotExist
}

func (a *audit) stage(ctx context.Context, archive io.Reader, l *wantedLayer) (*StagedLayer, error) {
	hash := sha256.New()
	staged, err := a.store.StageLayer(ctx, io.TeeReader(archive, hash), a.Limits)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errOtherContent, err)
	}
	if digest.NewDigest(digest.SHA256, hash) != l.diffID {
		return nil, errors.Join(errOtherContent, staged.Discard())
	}
	below, err := openDirs(a.dirsBelow(l))
	if err != nil {
		return nil, errors.Join(err, staged.Discard())
	}
	defer closeAll(below)
	if err := staged.inheritFrom(below); err != nil {
		return nil, errors.Join(err, staged.Discard())
	}
	return staged, nil
}

// dirsBelow are the directories of the layers below one, the topmost first.
func (a *audit) dirsBelow(l *wantedLayer) []string {
	var dirs []string
	for p := a.wanted[l.parent]; p != nil; p = a.wanted[p.parent] {
		dirs = append(dirs, a.store.layerDir(p.id))
	}
	return dirs
}

// replace puts a staged layer in the place of a broken one. Who has that mounted
// keeps what there was: renaming moves no file that is open.
func (a *audit) replace(l *wantedLayer, staged *StagedLayer) error {
	dir := a.store.layerDir(l.id)
	for _, d := range []string{a.store.layers, filepath.Dir(dir)} {
		if err := os.Mkdir(d, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	if exists(dir) {
		if err := os.Rename(dir, filepath.Join(staged.area.path, "old")); err != nil {
			return err
		}
	}
	if err := os.Rename(staged.area.layerDir(), dir); err != nil {
		return err
	}
	if err := a.store.config.markWhole(filepath.Dir(dir)); err != nil {
		return err
	}
	if rec := a.layerRecord(l.id); rec.Flags["incomplete"] != nil {
		delete(rec.Flags, "incomplete")
		a.layersChanged = true
	}
	return nil
}

// sameTrees compares two directories, and returns the path of the first thing
// that differs.
func sameTrees(one, other string) (string, error) {
	var fds [2]int
	for i, path := range []string{one, other} {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return "", &os.PathError{Op: "open", Path: path, Err: err}
		}
		defer unix.Close(fd)
		fds[i] = fd
	}
	return tree.Differs(fds[0], fds[1])
}
