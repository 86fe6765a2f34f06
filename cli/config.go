package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/BurntSushi/toml"

	"rootlet/internal/need"
)

// config is what the user's own file says: defaults for flags, in a table for each
// command, and what there is no flag for. The command line counts before it, and
// so do variables.
type config struct {
	path   string // empty where there is no file
	text   string
	values map[string]any

	settings
}

// settings are what there is no flag for.
type settings struct {
	RegistryMirrors    []string
	InsecureRegistries []string
	TokenServers       map[string][]string // by registry
	installing                             // [limits], keep-blobs
}

const maxConfig = 1 << 20

// configPath is $XDG_CONFIG_HOME/rootlet/config.toml.
func configPath() string {
	if dir := os.Getenv("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "rootlet", "config.toml")
	}
	home, err := os.UserHomeDir()
	if err != nil || !filepath.IsAbs(home) {
		return ""
	}
	return filepath.Join(home, ".config", "rootlet", "config.toml")
}

// readConfig reads and checks the file, if there is one.
func readConfig(path string, all []command) (config, error) {
	var c config
	text, err := readOwn(path)
	if text == nil || err != nil {
		return c, err
	}
	c.path, c.text = path, string(text)
	if _, err := toml.Decode(c.text, &c.values); err != nil {
		var parse toml.ParseError
		if errors.As(err, &parse) {
			return c, &configError{path: path, line: parse.Position.Line, text: parse.Message}
		}
		return c, &configError{path: path, text: err.Error()}
	}
	return c, c.check(all)
}

// readOwn reads a file that nobody else may have written: whoever can would decide
// what containers of the user's get to see. It is nil where there is none.
func readOwn(path string) ([]byte, error) {
	f, err := os.Open(path)
	if path == "" || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, nil
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, &lackError{need.Storage, &configError{path: path, text: "permission denied", hint: "HOME and XDG_CONFIG_HOME have to name directories of yours: su - sees to that"}}
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	mode := info.Mode().Perm()
	switch {
	case !info.Mode().IsRegular():
		return nil, &configError{path: path, text: "is not a regular file"}
	case !ok || int(st.Uid) != os.Geteuid() && st.Uid != 0:
		return nil, &configError{path: path, text: "belongs to another user, and is not read"}
	case mode&0o002 != 0 || mode&0o020 != 0 && st.Uid != st.Gid: // a group that is the user's own has his number
		return nil, &configError{path: path, text: "can be written by others, and is not read", hint: "chmod go-w " + path}
	case info.Size() > maxConfig:
		return nil, &configError{path: path, text: fmt.Sprintf("is larger than %d MiB", maxConfig>>20)}
	}
	text, err := io.ReadAll(io.LimitReader(f, maxConfig))
	if text == nil {
		text = []byte{}
	}
	return text, err
}

// configError is something wrong in the file.
type configError struct {
	path string
	line int // 0 where it is the whole file
	key  string
	text string
	hint string
}

func (e *configError) Error() string {
	where := e.path
	if e.line > 0 {
		where += fmt.Sprintf(", line %d", e.line)
	}
	if e.key != "" {
		return where + ": " + e.key + ": " + e.text
	}
	return where + ": " + e.text
}

// Hint is what mends it.
func (e *configError) Hint() string { return e.hint }

// wrong is an error about a key.
func (c *config) wrong(key []string, format string, args ...any) error {
	return &configError{path: c.path, line: lineOf(c.text, key), key: strings.Join(key, "."), text: fmt.Sprintf(format, args...)}
}

// lineOf finds the line of a key, which the library keeps to itself: of the key
// itself, or else of the nearest table that it is in.
func lineOf(text string, key []string) int {
	var table []string
	best, depth := 0, 0
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		var here []string
		if header, ok := strings.CutPrefix(line, "["); ok {
			header, _, _ = strings.Cut(strings.TrimLeft(header, "["), "]")
			table = words(header)
			here = table
		} else if name, _, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
			here = append(slices.Clone(table), words(name)...)
		} else {
			continue
		}
		if n := len(here); n > depth && n <= len(key) && slices.Equal(here, key[:n]) {
			best, depth = number, n
		}
	}
	return best
}

// words are the parts of a dotted key.
func words(dotted string) []string {
	parts := strings.Split(dotted, ".")
	for i := range parts {
		parts[i] = strings.Trim(strings.TrimSpace(parts[i]), `"'`)
	}
	return parts
}
