package registries

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"rootlet/pull/registry"
)

// certDirs are where certificates for hosts may be, the user's before the
// system's, Podman's before Docker's.
func (s *Settings) certDirs() []string {
	home := configHome(s.options.Getenv)
	etc := filepath.Join(s.options.Root, "/etc")
	dirs := []string{filepath.Join(home, "containers/certs.d"), filepath.Join(home, "docker/certs.d")}
	if s.options.UID != 0 {
		rootless := filepath.Join(etc, "containers/certs.rootless.d")
		dirs = append(dirs, filepath.Join(rootless, strconv.Itoa(s.options.UID)), rootless)
	}
	return append(dirs, filepath.Join(etc, "containers/certs.d"), filepath.Join(etc, "docker/certs.d"))
}

// certificates reads what is in the first directory that bears the host's name:
// *.crt are authorities, X.cert with X.key is who we are.
func (s *Settings) certificates(host string) (registry.TLS, error) {
	var t registry.TLS
	if strings.ContainsAny(host, "/\x00") || !filepath.IsLocal(host) {
		return t, nil
	}
	for _, base := range s.certDirs() {
		dir := filepath.Join(base, host)
		entries, err := os.ReadDir(dir)
		if missing(err) {
			continue
		}
		if err != nil {
			return t, err
		}
		for _, e := range entries {
			if err := addCertificate(&t, dir, e.Name()); err != nil {
				return t, err
			}
		}
		return t, nil
	}
	return t, nil
}

func addCertificate(t *registry.TLS, dir, name string) error {
	path := filepath.Join(dir, name)
	stem := strings.TrimSuffix(path, filepath.Ext(path))
	switch filepath.Ext(name) {
	case ".crt":
		pem, err := readFile(path)
		if err != nil {
			return err
		}
		t.CAs = append(t.CAs, pem)
	case ".cert":
		certificate, err := readFile(path)
		if err != nil {
			return err
		}
		key, err := readFile(stem + ".key")
		if missing(err) {
			return fmt.Errorf("%s: its key %s.key is missing; an authority's certificate is named *.crt", path, stem)
		}
		if err != nil {
			return err
		}
		t.Keys = append(t.Keys, registry.KeyPair{Certificate: certificate, Key: key})
	case ".key":
		if _, err := os.Stat(stem + ".cert"); missing(err) {
			return fmt.Errorf("%s: its certificate %s.cert is missing", path, stem)
		}
	}
	return nil
}
