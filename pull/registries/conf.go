package registries

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/BurntSushi/toml"
)

const maxFile = 1 << 20

// conf is what registries.conf and its drop-ins say together.
type conf struct {
	files   []string // that were read, in order
	search  []string // unqualified-search-registries
	mode    string   // short-name-mode
	aliases map[string]string
	rules   map[string]rule // by prefix
}

// fileForm is one file.
type fileForm struct {
	Search     []string          `toml:"unqualified-search-registries"`
	Mode       string            `toml:"short-name-mode"`
	Registries []rule            `toml:"registry"`
	Aliases    map[string]string `toml:"aliases"`
}

// readConf reads the main file, the first that is there, then the drop-ins, each
// of which may change what those before it said. It goes on past a file that is
// wrong, of which the first is the error.
func readConf(o Options) (*conf, error) {
	c := &conf{aliases: map[string]string{}, rules: map[string]rule{}}
	var err, lastErr error
	if named := o.Getenv("CONTAINERS_REGISTRIES_CONF"); named != "" {
		err = c.read(named)
	} else {
		err = c.readUsual(o)
	}
	if last := o.Getenv("CONTAINERS_REGISTRIES_CONF_OVERRIDE"); last != "" {
		lastErr = c.read(last)
	}
	return c, cmp.Or(err, lastErr, c.readLearned(o))
}

func (c *conf) readUsual(o Options) error {
	var failed error
	for _, dir := range confDirs(o) {
		err := c.read(filepath.Join(dir, "registries.conf"))
		if !missing(err) {
			failed = err
			break
		}
	}
	dropIns, err := findDropIns(o)
	failed = cmp.Or(failed, err)
	for _, path := range dropIns {
		if err := c.read(path); !missing(err) {
			failed = cmp.Or(failed, err)
		}
	}
	return failed
}

// readLearned reads the aliases that Podman has learned from its user's answers.
func (c *conf) readLearned(o Options) error {
	cache := o.Getenv("XDG_CACHE_HOME")
	if cache == "" {
		cache = filepath.Join(o.Getenv("HOME"), ".cache")
	}
	path := filepath.Join(cache, "containers/short-name-aliases.conf")
	if !filepath.IsAbs(path) {
		return nil
	}
	err := c.read(path)
	if missing(err) {
		return nil
	}
	return err
}

func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// confDirs are where the main file may be, the user's first.
func confDirs(o Options) []string {
	return []string{
		filepath.Join(configHome(o.Getenv), "containers"),
		filepath.Join(o.Root, "/etc/containers"),
		filepath.Join(o.Root, "/usr/share/containers"),
	}
}

// configHome is where the user's settings are. Without a HOME there are none:
// they would be those of whoever made the working directory.
func configHome(getenv func(string) string) string {
	for _, dir := range []string{getenv("XDG_CONFIG_HOME"), filepath.Join(getenv("HOME"), ".config")} {
		if filepath.IsAbs(dir) {
			return dir
		}
	}
	return os.DevNull // below which there is nothing
}

// findDropIns lists the drop-ins in the order of their names, whatever directory
// they are in. Of two that have the same name the user's counts, then the
// administrator's.
func findDropIns(o Options) ([]string, error) {
	dirs := []string{filepath.Join(configHome(o.Getenv), "containers/registries.conf.d")}
	for _, base := range confDirs(o)[1:] {
		kind := "rootless"
		if o.UID == 0 {
			kind = "rootful"
		} else {
			dirs = append(dirs, filepath.Join(base, "registries.rootless.conf.d", strconv.Itoa(o.UID)))
		}
		dirs = append(dirs, filepath.Join(base, "registries."+kind+".conf.d"), filepath.Join(base, "registries.conf.d"))
	}
	byName := map[string]string{}
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil && !missing(err) {
			return nil, err
		}
		for _, e := range entries {
			if _, seen := byName[e.Name()]; !seen && !e.IsDir() && strings.HasSuffix(e.Name(), ".conf") {
				byName[e.Name()] = filepath.Join(dir, e.Name())
			}
		}
	}
	var paths []string
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		paths = append(paths, byName[name])
	}
	return paths, nil
}

// read lays one file over what is there.
func (c *conf) read(path string) error {
	text, err := readFile(path)
	if err != nil {
		return err
	}
	if err := c.add(path, string(text)); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	c.files = append(c.files, path)
	return nil
}

// readFile reads a file of a size that settings have.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s: larger than %d MiB", path, maxFile>>20)
	}
	return text, err
}

func (c *conf) add(path, text string) error {
	var form fileForm
	meta, err := toml.Decode(text, &form)
	if err != nil {
		return tomlError(err)
	}
	if meta.IsDefined("registries") {
		return errors.New("this is version 1 of the format, [registries.search] and the like; rootlet reads version 2, [[registry]]")
	}
	if meta.IsDefined("unqualified-search-registries") {
		c.search = form.Search
	}
	for _, host := range c.search {
		if strings.Contains(host, "/") || !namesHost(host) {
			return fmt.Errorf("unqualified-search-registries: %q is not a registry host", host)
		}
	}
	switch form.Mode {
	case "":
	case modeEnforcing, modePermissive, modeDisabled:
		c.mode = form.Mode
	default:
		return fmt.Errorf("short-name-mode %q: want enforcing, permissive or disabled", form.Mode)
	}
	if err := c.addAliases(form.Aliases); err != nil {
		return err
	}
	return c.addRules(path, form.Registries)
}

// tomlError is the line and what is wrong there, without a picture of it.
func tomlError(err error) error {
	var parse toml.ParseError
	if errors.As(err, &parse) {
		return fmt.Errorf("line %d: %s", parse.Position.Line, parse.Message)
	}
	return errors.New(strings.TrimPrefix(err.Error(), "toml: "))
}

func (c *conf) addRules(path string, rules []rule) error {
	here := map[string]bool{}
	for _, r := range rules {
		r.file = path
		if err := r.check(); err != nil {
			return err
		}
		if here[r.Prefix] {
			return fmt.Errorf("registry %s: two [[registry]] tables", r.Prefix)
		}
		here[r.Prefix] = true
		c.rules[r.Prefix] = r
	}
	return nil
}
