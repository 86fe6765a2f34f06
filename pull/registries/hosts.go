package registries

import (
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"rootlet/pull"
	"rootlet/pull/registry"
)

// hosts is what containerd's hosts.toml says of a registry: mirrors in their order,
// and how to speak to each.
type hosts struct {
	file   string
	list   []containerdHost
	server containerdHost
}

// containerdHost is one place. Fields that rootlet cannot follow are errors, for
// the image would come from elsewhere than said.
type containerdHost struct {
	Capabilities []string `toml:"capabilities"`
	CA           any      `toml:"ca"`     // a file or several
	Client       any      `toml:"client"` // a file, several, or pairs of certificate and key
	SkipVerify   bool     `toml:"skip_verify"`
	OverridePath bool     `toml:"override_path"`

	host string
	tls  registry.TLS
}

// hostsFor reads the hosts.toml of a registry, if there is one.
func (s *Settings) hostsFor(host string) (*hosts, error) {
	if strings.ContainsAny(host, "/\x00") || !filepath.IsLocal(host) {
		return nil, nil
	}
	path := filepath.Join(s.containerdDir(), host, "hosts.toml")
	text, err := readFile(path)
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	h, err := parseHosts(path, host, string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return h, nil
}

// containerdDir is where a rootless containerd has them.
func (s *Settings) containerdDir() string {
	return filepath.Join(configHome(s.options.Getenv), "containerd/certs.d")
}

func parseHosts(path, host, text string) (*hosts, error) {
	var form struct {
		Server string                    `toml:"server"`
		Hosts  map[string]containerdHost `toml:"host"`
		containerdHost
	}
	meta, err := toml.Decode(text, &form)
	if err != nil {
		return nil, tomlError(err)
	}
	h := &hosts{file: path, server: form.containerdHost}
	if form.Server == "" {
		form.Server = "https://" + host
	}
	if err := h.server.complete(path, form.Server); err != nil {
		return nil, err
	}
	for _, key := range meta.Keys() { // in the order of the file
		if len(key) != 2 || key[0] != "host" {
			continue
		}
		one := form.Hosts[key[1]]
		if err := one.complete(path, key[1]); err != nil {
			return nil, err
		}
		h.list = append(h.list, one)
	}
	return h, nil
}

// complete reads what a place names.
func (c *containerdHost) complete(path, address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || !namesHost(u.Host) {
		return fmt.Errorf("host %q: want https://HOST[:PORT]", address)
	}
	if p := strings.TrimSuffix(u.Path, "/"); p != "" && p != "/v2" || c.OverridePath {
		return fmt.Errorf("host %q: rootlet knows no other path than /v2", address)
	}
	if c.host = u.Host; c.host == "registry-1.docker.io" || c.host == "index.docker.io" {
		c.host = dockerHub // by which its login is known
	}
	c.SkipVerify = c.SkipVerify || u.Scheme == "http"
	beside := func(name string) string {
		if filepath.IsAbs(name) {
			return name
		}
		return filepath.Join(filepath.Dir(path), name)
	}
	for _, name := range texts(c.CA) {
		pem, err := readFile(beside(name))
		if err != nil {
			return err
		}
		c.tls.CAs = append(c.tls.CAs, pem)
	}
	return c.addKeys(beside)
}

// addKeys reads client certificates: one file may hold the key as well.
func (c *containerdHost) addKeys(beside func(string) string) error {
	pairs, _ := c.Client.([]any)
	if text, ok := c.Client.(string); ok {
		pairs = []any{text}
	}
	for _, pair := range pairs {
		names := texts(pair)
		if len(names) == 0 || len(names) > 2 {
			return fmt.Errorf("host %s: client: want a certificate and its key", c.host)
		}
		certificate, err := readFile(beside(names[0]))
		if err != nil {
			return err
		}
		key := certificate
		if len(names) == 2 && names[1] != "" {
			if key, err = readFile(beside(names[1])); err != nil {
				return err
			}
		}
		c.tls.Keys = append(c.tls.Keys, registry.KeyPair{Certificate: certificate, Key: key})
	}
	return nil
}

// texts are the strings of a value that may be one or several.
func texts(value any) []string {
	switch v := value.(type) {
	case string:
		return []string{v}
	case []any:
		var list []string
		for _, one := range v {
			if text, ok := one.(string); ok {
				list = append(list, text)
			}
		}
		return list
	}
	return nil
}

// pulls reports whether a place is for that: it may be for pushing only.
func (c *containerdHost) pulls() bool {
	return len(c.Capabilities) == 0 || slices.Contains(c.Capabilities, "pull")
}

// locations are where an image may be had, the registry itself last.
func (h *hosts) locations(ref pull.Reference) []location {
	at := func(c *containerdHost, mirror bool) location {
		return location{host: c.host, repository: ref.Repository(), insecure: c.SkipVerify, mirror: mirror, tls: c.tls}
	}
	var list []location
	for i := range h.list {
		if h.list[i].pulls() {
			list = append(list, at(&h.list[i], true))
		}
	}
	return append(list, at(&h.server, false))
}
