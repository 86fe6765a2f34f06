package registries

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// Description is what was set up, for people to see.
type Description struct {
	Files      []string   // registries.conf and its drop-ins, containerd's hosts.toml
	AuthFiles  []string   // that are there
	CertDirs   []string   // certs.d/HOST
	Search     []string   // unqualified-search-registries
	Registries []Registry // by prefix; docker.io first
}

// Registry is what is said of one.
type Registry struct {
	Prefix, Location  string
	Mirrors           []string
	Insecure, Blocked bool
}

// Describe says what was set up, and which files said so.
func (s *Settings) Describe() Description {
	d := Description{Files: s.conf.files, Search: s.conf.search}
	for _, path := range s.logins.Files {
		if _, err := os.Stat(path); err == nil {
			d.AuthFiles = append(d.AuthFiles, path)
		}
	}
	for _, base := range s.certDirs() {
		entries, _ := os.ReadDir(base) // what cannot be read is not read
		for _, e := range entries {
			d.CertDirs = append(d.CertDirs, filepath.Join(base, e.Name()))
		}
	}
	theirs, _ := filepath.Glob(filepath.Join(s.containerdDir(), "*", "hosts.toml"))
	d.Files = append(slices.Clone(d.Files), theirs...)
	hub := Registry{Prefix: dockerHub, Location: dockerHub, Mirrors: mirrorURLs(s.hub)}
	if r, ok := s.conf.rules[dockerHub]; ok {
		own := hub.Mirrors
		hub = describe(r)
		hub.Mirrors = append(own, hub.Mirrors...)
	}
	d.Registries = append(d.Registries, hub)
	for _, prefix := range slices.Sorted(maps.Keys(s.conf.rules)) {
		if prefix != dockerHub {
			d.Registries = append(d.Registries, describe(s.conf.rules[prefix]))
		}
	}
	return d
}

func describe(r rule) Registry {
	return Registry{Prefix: r.Prefix, Location: r.Location, Insecure: r.Insecure, Blocked: r.Blocked, Mirrors: mirrorURLs(r.Mirrors)}
}

func mirrorURLs(mirrors []mirror) []string {
	urls := []string{}
	for _, m := range mirrors {
		scheme := "https://"
		if m.Insecure {
			scheme = "http://"
		}
		urls = append(urls, scheme+m.Location+"/")
	}
	return urls
}
