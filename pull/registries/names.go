package registries

import (
	"errors"
	"fmt"
	"strings"

	"rootlet/pull"
)

// What short-name-mode says.
const (
	modeEnforcing  = "enforcing"
	modePermissive = "permissive"
	modeDisabled   = "disabled"
)

// Names are the references that a user may mean, in the order in which to try
// them. It is one, by Docker's rule, where the name has a registry or where
// nothing else is set up. Nobody is asked: where Podman would ask at a terminal,
// all are tried, or under "enforcing" none.
func (s *Settings) Names(given string) ([]pull.Reference, error) {
	plain, err := pull.ParseReference(given)
	if err != nil || !pull.IsShort(given) {
		return []pull.Reference{plain}, err
	}
	name, suffix := given, ""
	if i := strings.IndexAny(given, ":@"); i >= 0 {
		name, suffix = given[:i], given[i:]
	}
	if full := s.conf.aliases[name]; full != "" {
		ref, err := pull.ParseReference(full + suffix)
		return []pull.Reference{ref}, err
	}
	if len(s.conf.search) == 0 {
		return []pull.Reference{plain}, nil
	}
	if s.conf.mode == modeEnforcing && len(s.conf.search) > 1 {
		return nil, &AmbiguousError{Name: given, Registries: s.conf.search}
	}
	var list []pull.Reference
	for _, host := range s.conf.search {
		ref, err := pull.ParseReference(host + "/" + given)
		if err != nil {
			return nil, err
		}
		list = append(list, ref)
	}
	return list, nil
}

// AmbiguousError is a short name that may be several images' under
// short-name-mode = "enforcing".
type AmbiguousError struct {
	Name       string
	Registries []string
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("%s: which registry is unclear, and short-name-mode is enforcing: %s", e.Name, strings.Join(e.Registries, ", "))
}

// Hint is what to type instead.
func (e *AmbiguousError) Hint() string {
	return "name it in full: " + e.Registries[0] + "/" + e.Name
}

// addAliases takes the aliases of one file over; an empty one takes an older one
// away.
func (c *conf) addAliases(aliases map[string]string) error {
	for name, full := range aliases {
		if err := checkAlias(name, full); err != nil {
			return fmt.Errorf("alias %q: %w", name, err)
		}
		if full == "" {
			delete(c.aliases, name)
			continue
		}
		c.aliases[name] = full
	}
	return nil
}

func checkAlias(name, full string) error {
	if strings.ContainsAny(name, ":@") || !pull.IsShort(name) {
		return errors.New("the name must have no registry, tag or digest")
	}
	if _, err := pull.ParseReference(name); err != nil {
		return err
	}
	if full == "" {
		return nil
	}
	ref, err := pull.ParseReference(full)
	if err != nil {
		return err
	}
	if pull.IsShort(full) || strings.Contains(full, "@") || strings.Contains(full[strings.LastIndexByte(full, '/'):], ":") || ref.Repository() == "" {
		return fmt.Errorf("%q: want REGISTRY/NAME, without tag or digest", full)
	}
	return nil
}
