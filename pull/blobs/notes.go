package blobs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// notesDir holds notes/HEX/NAME: what is to be remembered of a blob, such as
// what it was pushed as. Whoever reads them can do without.
const notesDir = "notes"

// maxNote bounds a note, in bytes.
const maxNote = 4096

// Packed reports whether the blob is there and came uncompressed.
func (s *Store) Packed(digest string) bool {
	path, err := s.whole(digest)
	if err != nil {
		return false
	}
	st, err := os.Lstat(path + packedExt)
	return err == nil && st.Mode().IsRegular()
}

// Note reads a note on a blob.
func (s *Store) Note(digest, name string) ([]byte, error) {
	path, err := s.note(digest, name)
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// SetNote writes a note on a blob, in place of the one before.
func (s *Store) SetNote(digest, name string, text []byte) error {
	path, err := s.note(digest, name)
	if err == nil && len(text) > maxNote {
		err = fmt.Errorf("note of %d bytes", len(text))
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("note on a blob: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), temporaryPrefix)
	if err != nil {
		return fmt.Errorf("note on a blob: %w", err)
	}
	_, err = f.Write(text)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = gone(f.Name())
		return fmt.Errorf("note on a blob: %w", err)
	}
	return nil
}

// note is a note's file.
func (s *Store) note(digest, name string) (string, error) {
	hex, err := digits(digest)
	if err != nil {
		return "", err
	}
	if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return "", fmt.Errorf("%q names no note", name)
	}
	return filepath.Join(s.dir, notesDir, hex, name), nil
}

// dropNotes removes the notes on a blob.
func (s *Store) dropNotes(hex string) error {
	return os.RemoveAll(filepath.Join(s.dir, notesDir, hex))
}
