package volume

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Restore gives a volume whose record is damaged a new one. What it said of
// labels and options is lost; what is in the volume stays.
func (s Store) Restore(name string) error {
	lock, err := s.lockWhole(name)
	if err != nil {
		return err
	}
	defer lock.Close()
	if _, err := s.Inspect(name); err == nil {
		return nil
	}
	text, err := json.MarshalIndent(Volume{Version: Version, Name: name, Created: time.Now().UTC()}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.Mkdir(s.Mountpoint(name), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("restore volume %s: %w", name, err)
	}
	aside := filepath.Join(s.dir(name), "."+recordFile)
	if err := os.WriteFile(aside, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("restore volume %s: %w", name, err)
	}
	if err := os.Rename(aside, filepath.Join(s.dir(name), recordFile)); err != nil {
		return fmt.Errorf("restore volume %s: %w", name, err)
	}
	return nil
}
