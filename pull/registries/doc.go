// Package registries knows what the user and the host have set up about
// registries: registries.conf with its drop-ins, certs.d, credentials, proxies.
// For a reference it gives the list of endpoints where to ask, as plain data. It
// runs in the user's own process, before a worker is told what to pull; it speaks
// to no registry.
//
// The formats are those of containers-registries.conf(5) and
// containers-certs.d(5), and Docker's registry-mirrors and insecure-registries.
package registries

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"

	"rootlet/pull"
	"rootlet/pull/credentials"
	"rootlet/pull/registry"
)

// Options say where to look. Getenv is required.
type Options struct {
	Getenv func(string) string
	UID    int
	Root   string // before /etc and /usr: empty but in tests

	Mirrors      []string            // Docker's registry-mirrors, asked before docker.io
	Insecure     []string            // Docker's insecure-registries: HOST[:PORT] or a network
	TokenServers map[string][]string // that may see a registry's login
	AuthFile     string              // the only file with credentials, where the user names one
	Warn         func(text string)   // told what the user should know; may be nil
}

// Settings are what was found.
type Settings struct {
	options Options
	conf    *conf
	hub     []mirror
	logins  *credentials.Set
}

// Read reads registries.conf and its drop-ins. Credentials and certificates are
// read when an endpoint needs them. With an error what could be read is there for
// Describe, and for nothing else.
func Read(o Options) (*Settings, error) {
	s := &Settings{options: o, logins: credentials.Of(o.Getenv, o.AuthFile)}
	s.logins.Warn = o.Warn
	var mirrors, err error
	s.hub, mirrors = dockerMirrors(o.Mirrors)
	s.conf, err = readConf(o)
	return s, cmp.Or(mirrors, err)
}

// Logins are the user's credentials.
func (s *Settings) Logins() *credentials.Set { return s.logins }

// Endpoints lists where an image may be had, in the order in which to ask: the
// mirrors, then the registry itself. A verify that is given counts for all.
func (s *Settings) Endpoints(ctx context.Context, ref pull.Reference, verify *bool) ([]registry.Config, error) {
	places, err := s.places(ref)
	if err != nil {
		return nil, err
	}
	var list []registry.Config
	for _, l := range places {
		c, err := s.config(ctx, l, verify)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, nil
}

// Endpoint is where to push an image, or to ask for what only the registry itself
// knows: mirrors serve pulls alone.
func (s *Settings) Endpoint(ctx context.Context, ref pull.Reference, verify *bool) (registry.Config, error) {
	places, err := s.places(ref)
	if err != nil {
		return registry.Config{}, err
	}
	return s.config(ctx, places[len(places)-1], verify)
}

// Host is how to speak to a registry as such.
func (s *Settings) Host(ctx context.Context, host string, verify *bool) (registry.Config, error) {
	l := location{host: host, insecure: s.conf.insecure(host)}
	if _, found := s.conf.rules[host]; !found {
		h, err := s.hostsFor(host)
		if err != nil {
			return registry.Config{}, err
		}
		if h != nil && h.server.host == host {
			l.insecure, l.tls = h.server.SkipVerify, h.server.tls
		}
	}
	return s.config(ctx, l, verify)
}

// location is where a repository stands.
type location struct {
	host, repository string
	insecure, mirror bool
	tls              registry.TLS // besides that of certs.d
}

// places are where an image may be had, the registry itself last. Where
// registries.conf says nothing of the registry, containerd's hosts.toml counts.
func (s *Settings) places(ref pull.Reference) ([]location, error) {
	var own []location
	if ref.Registry() == dockerHub {
		var err error
		if own, err = mirrored(s.hub, rule{Prefix: dockerHub}, ref); err != nil {
			return nil, err
		}
	}
	r, found := s.conf.rule(ref)
	if !found {
		h, err := s.hostsFor(ref.Registry())
		if h == nil || err != nil {
			return append(own, location{host: ref.Registry(), repository: ref.Repository()}), err
		}
		return append(own, h.locations(ref)...), nil
	}
	if r.Blocked {
		return nil, &BlockedError{Name: ref.Familiar(), Prefix: r.Prefix, File: r.file}
	}
	mirrors, err := mirrored(r.Mirrors, r, ref)
	if err != nil {
		return nil, err
	}
	primary, err := r.rewrite(r.Location, ref)
	primary.insecure = r.Insecure
	return append(append(own, mirrors...), primary), err
}

// config is all that it takes to speak to a place.
func (s *Settings) config(ctx context.Context, l location, verify *bool) (registry.Config, error) {
	c := registry.Config{
		Host: l.host, Repository: l.repository, Mirror: l.mirror,
		Insecure: l.insecure || s.saidInsecure(l.host),
		Proxy:    registry.ProxyFrom(s.options.Getenv), TokenServers: s.options.TokenServers[l.host],
	}
	if l.mirror {
		c.HeaderTimeout, c.RetryDelay = mirrorTimeout, mirrorRetry
	}
	if verify != nil {
		c.Insecure = !*verify
	}
	var err error
	if c.TLS, err = s.certificates(l.host); err != nil {
		return c, err
	}
	c.TLS.CAs, c.TLS.Keys = append(c.TLS.CAs, l.tls.CAs...), append(c.TLS.Keys, l.tls.Keys...)
	c.Login, err = s.logins.Find(ctx, l.host, l.repository)
	return c, err
}

// A mirror gets less patience than the registry itself: there is another place to
// ask.
const (
	mirrorTimeout = 10 * time.Second
	mirrorRetry   = 100 * time.Millisecond
)

// saidInsecure reports whether insecure-registries names the host.
func (s *Settings) saidInsecure(host string) bool {
	name := host
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		name = host[:i]
	}
	address, _ := netip.ParseAddr(strings.Trim(name, "[]"))
	for _, said := range s.options.Insecure {
		if network, err := netip.ParsePrefix(said); err == nil {
			if address.IsValid() && network.Contains(address) {
				return true
			}
		} else if said == host {
			return true
		}
	}
	return false
}

// BlockedError says that images of that name are not to be had.
type BlockedError struct{ Name, Prefix, File string }

func (e *BlockedError) Error() string {
	return e.Name + ": registry " + e.Prefix + " is blocked by " + e.File
}

// LoginKey reads a registry as a user gives it, perhaps as a URL, for a login: its
// host, and the key for credentials, HOST or HOST/PATH. Nothing is Docker Hub.
func LoginKey(given string) (host, key string, err error) {
	key = credentials.PlainKey(given)
	if key == "" {
		key = dockerHub
	}
	host, path, below := strings.Cut(key, "/")
	if below {
		ref, err := pull.ParseReference(key)
		if err != nil {
			return "", "", err
		}
		if ref.Registry() != host || strings.ContainsAny(path, ":@") {
			return "", "", errors.New("want REGISTRY or REGISTRY/PATH")
		}
		return host, key, nil
	}
	if host != "localhost" && !strings.ContainsAny(host, ".:") {
		return "", "", errors.New("the host needs a dot or a port, or to be localhost")
	}
	_, err = pull.ParseReference(host + "/x")
	return host, key, err
}
