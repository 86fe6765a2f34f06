package credentials

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"rootlet/pull/registry"
)

// Place is where a login was put.
type Place struct {
	File   string
	Helper string // the program that keeps it; empty where the file does, as plain text
}

// Save keeps the login of a host, or of a HOST/PATH: in the first file that has one for it, so that
// no older one is found before it; else in the first that is there; else in
// fresh, see NewFile. Where that file names a helper for the host, the
// helper keeps it. Nothing is added to a .dockercfg.
func (s *Set) Save(ctx context.Context, host string, l registry.Login, fresh string) (Place, error) {
	if strings.Contains(l.Username, ":") {
		return Place{}, errors.New("a user name with a colon cannot be kept")
	}
	path, err := s.target(host, fresh)
	if err != nil {
		return Place{}, err
	}
	f, _, err := read(path)
	if err != nil {
		return Place{}, err
	}
	helper := f.helpers[host]
	if helper == "" && !strings.Contains(host, "/") { // helpers know hosts only
		helper = f.store
	}
	if helper == "" {
		return Place{File: path}, edit(path, func(auths map[string]json.RawMessage) error { return put(auths, path, host, entryOf(l)) })
	}
	if err := tell(ctx, helper, host, l); err != nil {
		return Place{}, err
	}
	// Docker leaves an empty entry, by which others see that there is one.
	return Place{File: path, Helper: helperPrefix + helper}, edit(path, func(auths map[string]json.RawMessage) error {
		return put(auths, path, host, entry{})
	})
}

// target is the file for the login of a host.
func (s *Set) target(host, fresh string) (string, error) {
	first := ""
	for _, path := range s.Files {
		f, info, err := read(path)
		switch {
		case err != nil:
			return "", err
		case info == nil || filepath.Base(path) == dockercfg:
			continue
		}
		if _, has := f.auths[host]; has || f.helpers[host] != "" {
			return path, nil
		}
		if first == "" {
			first = path
		}
	}
	switch {
	case first != "":
		return first, nil
	case len(s.Files) == 1: // --authfile
		return s.Files[0], nil
	}
	if !filepath.IsAbs(fresh) {
		return "", errors.New("where to keep logins is unknown: set HOME to a directory of yours")
	}
	return fresh, nil
}

// NewFile is where a login goes that no file is there for, for Save.
func NewFile(getenv func(string) string) string {
	if f := getenv("REGISTRY_AUTH_FILE"); f != "" {
		return f
	}
	return DockerFile(getenv)
}

// put sets a login under the key that the file has for the host, or else the one
// that the file's owner uses.
func put(auths map[string]json.RawMessage, path, host string, e entry) error {
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	key := host
	if host == hub && filepath.Base(path) == "config.json" {
		key = hubServer
	}
	for old := range auths {
		if PlainKey(old) == host {
			delete(auths, old)
		}
	}
	auths[key] = text
	return nil
}

// Erase forgets the login of a host wherever there is one, and reports in how
// many files there was.
func (s *Set) Erase(ctx context.Context, host string) (int, error) {
	n := 0
	var errs []error
	for _, path := range s.Files {
		f, _, err := read(path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		_, has := f.auths[host]
		helper := f.helpers[host]
		if helper == "" && has {
			helper = f.store
		}
		if helper != "" {
			errs = append(errs, forget(ctx, helper, host))
		}
		if !has && f.helpers[host] == "" {
			continue
		}
		n++
		if has {
			errs = append(errs, edit(path, func(auths map[string]json.RawMessage) error {
				for key := range auths {
					if PlainKey(key) == host {
						delete(auths, key)
					}
				}
				return nil
			}))
		}
	}
	return n, errors.Join(errs...)
}

// Hosts are those with a login of their own, from all files.
func (s *Set) Hosts() ([]string, error) {
	var all []string
	for _, path := range s.Files {
		f, _, err := read(path)
		if err != nil {
			return nil, err
		}
		for host := range f.auths {
			all = append(all, host)
		}
		for host := range f.helpers {
			all = append(all, host)
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// edit changes the logins in a file and leaves all else that it holds as it is.
// The file is replaced by a rename, under a lock of its directory, so that nobody
// sees half of it and no change of another rootlet's is lost.
func edit(path string, change func(auths map[string]json.RawMessage) error) error {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // the link stays one
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	unlock, err := lock(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer unlock()
	b, _, err := readAll(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	b, err = changed(b, filepath.Base(path) == dockercfg, change)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return replace(path, b)
}

// changed is the text of a file with other logins.
func changed(b []byte, bare bool, change func(map[string]json.RawMessage) error) ([]byte, error) {
	whole := map[string]json.RawMessage{}
	if len(bytes.TrimSpace(b)) > 0 {
		if err := json.Unmarshal(b, &whole); err != nil {
			return nil, err
		}
	}
	auths := whole
	if !bare {
		auths = map[string]json.RawMessage{}
		if text, there := whole["auths"]; there {
			if err := json.Unmarshal(text, &auths); err != nil {
				return nil, err
			}
		}
	}
	if auths == nil { // "auths": null
		auths = map[string]json.RawMessage{}
	}
	if err := change(auths); err != nil {
		return nil, err
	}
	if !bare {
		text, err := json.Marshal(auths)
		if err != nil {
			return nil, err
		}
		whole["auths"] = text
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "\t") // as Docker writes it
	err := encoder.Encode(whole)
	return out.Bytes(), err
}

// replace puts a file that only its user may read in the place of another.
func replace(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // where it was not renamed
	_, err = f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func lock(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if err != syscall.EINTR {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return func() { f.Close() }, nil
}
