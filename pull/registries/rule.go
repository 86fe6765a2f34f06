package registries

import (
	"errors"
	"fmt"
	"strings"

	"rootlet/pull"
)

const dockerHub = "docker.io"

// When a mirror is asked.
const (
	mirrorAll        = "all"
	mirrorDigestOnly = "digest-only"
	mirrorTagOnly    = "tag-only"
)

// rule is one [[registry]] table.
type rule struct {
	Prefix     string   `toml:"prefix"`
	Location   string   `toml:"location"`
	Insecure   bool     `toml:"insecure"`
	Blocked    bool     `toml:"blocked"`
	DigestOnly bool     `toml:"mirror-by-digest-only"`
	Mirrors    []mirror `toml:"mirror"`

	file string
}

// mirror is one [[registry.mirror]] table.
type mirror struct {
	Location string `toml:"location"`
	Insecure bool   `toml:"insecure"`
	Pull     string `toml:"pull-from-mirror"`
}

// check completes a rule, and refuses one that means nothing.
func (r *rule) check() error {
	r.Prefix, r.Location = strings.TrimRight(r.Prefix, "/"), strings.TrimRight(r.Location, "/")
	wild := strings.HasPrefix(r.Prefix, "*.")
	switch {
	case r.Prefix == "" && r.Location == "":
		return errors.New("a [[registry]] table has neither prefix nor location")
	case r.Prefix == "":
		r.Prefix = r.Location
	case r.Location == "" && !wild:
		r.Location = r.Prefix
	}
	if wild && strings.ContainsAny(r.Prefix, "/:@") || strings.Contains(strings.TrimPrefix(r.Prefix, "*."), "*") {
		return fmt.Errorf("registry prefix %q: a * stands for what is before .HOST only", r.Prefix)
	}
	if err := checkLocation("prefix", strings.TrimPrefix(r.Prefix, "*.")); err != nil && !wild {
		return err
	}
	if r.Location != "" {
		if err := checkLocation("location", r.Location); err != nil {
			return err
		}
	}
	for i := range r.Mirrors {
		if err := r.Mirrors[i].check(r); err != nil {
			return fmt.Errorf("registry %s: %w", r.Prefix, err)
		}
	}
	return nil
}

func (m *mirror) check(r *rule) error {
	m.Location = strings.TrimRight(m.Location, "/")
	if err := checkLocation("mirror location", m.Location); err != nil {
		return err
	}
	switch m.Pull {
	case "":
		m.Pull = mirrorAll
		if r.DigestOnly {
			m.Pull = mirrorDigestOnly
		}
		return nil
	case mirrorAll, mirrorDigestOnly, mirrorTagOnly:
	default:
		return fmt.Errorf("pull-from-mirror %q: want all, digest-only or tag-only", m.Pull)
	}
	if r.DigestOnly {
		return errors.New("pull-from-mirror cannot be set where mirror-by-digest-only is")
	}
	return nil
}

// checkLocation looks at HOST[:PORT][/PATH].
func checkLocation(what, s string) error {
	switch {
	case s == "":
		return fmt.Errorf("%s is empty", what)
	case strings.Contains(s, "://"):
		return fmt.Errorf("%s %q: want HOST[:PORT][/PATH], without http:// or https://", what, s)
	case !namesHost(s):
		return fmt.Errorf("%s %q: the host needs a dot or a port, or to be localhost", what, s)
	}
	return nil
}

// namesHost reports whether s begins with what a reference takes for a host.
func namesHost(s string) bool {
	host, _, _ := strings.Cut(s, "/")
	return host != "" && !pull.IsShort(host+"/x")
}

// rule is the one with the longest prefix of a reference.
func (c *conf) rule(ref pull.Reference) (found rule, ok bool) {
	best := -1
	for _, r := range c.rules {
		if n := r.match(ref.Name()); n > best { // no two are equal
			found, ok, best = r, true, n
		}
	}
	return found, ok
}

// match weighs how well the prefix fits a name: the longer the better, and a host
// that is written out better than any wildcard; -1 is not at all.
func (r *rule) match(name string) int {
	if domain, wild := strings.CutPrefix(r.Prefix, "*"); wild {
		if strings.HasSuffix(name[:hostEnd(name)], domain) {
			return len(domain)
		}
		return -1
	}
	rest, ok := strings.CutPrefix(name, r.Prefix)
	if !ok || rest != "" && !strings.ContainsRune("/:@", rune(rest[0])) {
		return -1
	}
	return writtenOut + len(r.Prefix)
}

// writtenOut is more than a name is long.
const writtenOut = 1 << 16

// hostEnd is where the name of a host ends, before its port.
func hostEnd(name string) int {
	if i := strings.IndexAny(name, "/:@"); i >= 0 {
		return i
	}
	return len(name)
}

// rewrite puts a location in the place of the prefix.
func (r *rule) rewrite(to string, ref pull.Reference) (location, error) {
	if to == "" {
		return location{host: ref.Registry(), repository: ref.Repository()}, nil
	}
	name := ref.Name()
	covered := len(r.Prefix)
	if strings.HasPrefix(r.Prefix, "*") {
		covered = hostEnd(name)
	}
	moved, err := pull.ParseReference(to + name[covered:])
	if err != nil {
		return location{}, fmt.Errorf("%s: location %s: %w", r.file, to, err)
	}
	if moved.Tag() != ref.Tag() || moved.Digest() != ref.Digest() {
		return location{}, fmt.Errorf("%s: location %s names another image than %s", r.file, to, ref)
	}
	return location{host: moved.Registry(), repository: moved.Repository()}, nil
}

// mirrored is where the mirrors of a rule have a reference.
func mirrored(mirrors []mirror, r rule, ref pull.Reference) ([]location, error) {
	var list []location
	for _, m := range mirrors {
		byDigest := ref.Digest() != ""
		if m.Pull == mirrorDigestOnly && !byDigest || m.Pull == mirrorTagOnly && byDigest {
			continue
		}
		l, err := r.rewrite(m.Location, ref)
		if err != nil {
			return nil, err
		}
		l.insecure, l.mirror = m.Insecure, true
		list = append(list, l)
	}
	return list, nil
}

// insecure reports what is said of a host as such.
func (c *conf) insecure(host string) bool {
	return c.rules[host].Insecure
}

// dockerMirrors reads registry-mirrors as dockerd does: URLs without a path.
func dockerMirrors(urls []string) ([]mirror, error) {
	var list []mirror
	for _, u := range urls {
		scheme, host, ok := strings.Cut(strings.TrimSuffix(u, "/"), "://")
		if !ok || scheme != "https" && scheme != "http" || strings.ContainsAny(host, "/?#@") || !namesHost(host) {
			return nil, fmt.Errorf("registry-mirrors: %q: want https://HOST[:PORT]", u)
		}
		list = append(list, mirror{Location: host, Insecure: scheme == "http", Pull: mirrorAll})
	}
	return list, nil
}
