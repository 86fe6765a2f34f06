package cli

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/alecthomas/kong"
)

// setting is a key without a flag.
type setting struct {
	help string
	set  func(c *config, value any) error
}

// ownSettings are the keys that there is no flag for.
func ownSettings() map[string]setting {
	return map[string]setting{
		"registry-mirrors": {`mirrors of docker.io, as dockerd has them: ["https://HOST[:PORT]", ...]`, func(c *config, value any) error {
			return toStrings(&c.RegistryMirrors, value)
		}},
		"insecure-registries": {`registries whose certificate is not checked, and that may speak http: ["HOST[:PORT]", "10.0.0.0/8", ...]`, func(c *config, value any) error {
			return toStrings(&c.InsecureRegistries, value)
		}},
		"token-servers": {`a table: hosts that may see the login of a registry, besides those under its own domain: "REGISTRY" = ["HOST", ...]`, func(c *config, value any) error {
			table, ok := value.(map[string]any)
			if !ok {
				return fmt.Errorf("want a table, not %s", shown(value))
			}
			c.TokenServers = map[string][]string{}
			for registry, servers := range table {
				var list []string
				if err := toStrings(&list, servers); err != nil {
					return fmt.Errorf("%s: %w", registry, err)
				}
				c.TokenServers[registry] = list
			}
			return nil
		}},
		"keep-blobs": {"true; false drops what came from a registry once it is unpacked: push, save and registry serve need it to be pulled again with true", func(c *config, value any) error {
			keep, ok := value.(bool)
			if !ok {
				return fmt.Errorf("want true or false, not %s", shown(value))
			}
			c.DropBlobs = !keep
			return nil
		}},
	}
}

func settingKeys() map[string]func(*config, any) error {
	keys := map[string]func(*config, any) error{}
	for name, s := range ownSettings() {
		keys[name] = s.set
	}
	return keys
}

func toStrings(to *[]string, value any) error {
	list, ok := value.([]any)
	if !ok {
		return fmt.Errorf("want an array of strings, not %s", shown(value))
	}
	for _, one := range list {
		text, ok := one.(string)
		if !ok {
			return errors.New("want an array of strings")
		}
		*to = append(*to, text)
	}
	return nil
}

// defaults has the parser ask the file for the flags that are neither on the
// command line nor in a variable.
func (c config) defaults(all []command, path []string) kong.Resolver {
	table := c.values
	for _, word := range tableOf(all, path) {
		table, _ = table[word].(map[string]any)
	}
	return kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		for _, name := range flag.Envs {
			if _, set := os.LookupEnv(name); set {
				return nil, nil
			}
		}
		value, ok := table[flag.Name]
		if !ok && slices.Contains(ownFlags, "--"+flag.Name) {
			value, ok = c.values[flag.Name]
		}
		if !ok {
			return nil, nil
		}
		if list, many := value.([]any); many {
			return list, nil
		}
		return fmt.Sprint(value), nil
	})
}
