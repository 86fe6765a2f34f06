package cli

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"unicode"
)

// environment is what --env-file and --env say together.
func environment(files, entries []string) ([]string, error) {
	var all []string
	for _, file := range files {
		env, err := readEnvFile(file, os.LookupEnv)
		if err != nil {
			return nil, err
		}
		all = append(all, env...)
	}
	for _, entry := range entries {
		env, err := envEntry(entry, os.LookupEnv)
		if err != nil {
			return nil, fmt.Errorf("--env: %w", err)
		}
		all = append(all, env...)
	}
	return all, nil
}

// envEntry understands --env: KEY=VALUE as it is, and KEY alone as the user's
// own variable, or nothing where he has none of that name.
func envEntry(entry string, lookup func(string) (string, bool)) ([]string, error) {
	key, value, ok := strings.Cut(entry, "=")
	if key == "" {
		return nil, fmt.Errorf("invalid variable %q: it has no name", entry)
	}
	if strings.ContainsAny(key, "\x00\n") || strings.ContainsRune(value, 0) {
		return nil, fmt.Errorf("invalid variable %q: control characters in it", entry)
	}
	if ok {
		return []string{entry}, nil
	}
	if value, ok = lookup(key); ok {
		return []string{key + "=" + value}, nil
	}
	return nil, nil
}

// readEnvFile reads --env-file as Docker does: a KEY=VALUE or KEY a line, taken
// as it stands, quotes and all; blank lines and those that begin with # are not.
func readEnvFile(name string, lookup func(string) (string, bool)) ([]string, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("--env-file: %w", err)
	}
	defer f.Close()
	var env []string
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimLeftFunc(lines.Text(), unicode.IsSpace)
		if number == 1 {
			line = strings.TrimPrefix(line, "\ufeff")
		}
		if line == "" || line[0] == '#' {
			continue
		}
		if key, _, _ := strings.Cut(line, "="); strings.ContainsFunc(key, unicode.IsSpace) {
			return nil, fmt.Errorf("--env-file %s, line %d: variable %q has white space in its name", name, number, key)
		}
		entry, err := envEntry(line, lookup)
		if err != nil {
			return nil, fmt.Errorf("--env-file %s, line %d: %w", name, number, err)
		}
		env = append(env, entry...)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("--env-file %s: %w", name, err)
	}
	return env, nil
}
