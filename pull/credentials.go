package pull

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"rootlet/pull/registry"
)

// AuthFiles lists the files that may hold credentials, in the order in which
// they count: Podman's, then Docker's.
func AuthFiles(getenv func(string) string) []string {
	home := getenv("HOME")
	or := func(value, fallback string) string {
		if value != "" {
			return value
		}
		return fallback
	}
	var files []string
	if f := getenv("REGISTRY_AUTH_FILE"); f != "" {
		files = append(files, f)
	}
	if dir := getenv("XDG_RUNTIME_DIR"); dir != "" {
		files = append(files, filepath.Join(dir, "containers/auth.json"))
	}
	return append(files,
		filepath.Join(or(getenv("XDG_CONFIG_HOME"), filepath.Join(home, ".config")), "containers/auth.json"),
		filepath.Join(or(getenv("DOCKER_CONFIG"), filepath.Join(home, ".docker")), "config.json"),
		filepath.Join(home, ".dockercfg"),
	)
}

// authEntry is one login in those files (docker/cli, types.AuthConfig).
type authEntry struct {
	Auth          string `json:"auth"` // base64 of user:password
	Username      string `json:"username"`
	Password      string `json:"password"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

// findLogin returns the credentials for ref in the first file that has some.
// Files that are not there, or not ours to read, hold none.
func findLogin(files []string, ref Reference) (registry.Login, error) {
	for _, file := range files {
		entries, err := readAuths(file)
		if err != nil {
			return registry.Login{}, err
		}
		for _, key := range authKeys(ref) {
			entry, ok := entries[key]
			if !ok {
				continue
			}
			login, err := entry.login()
			if err != nil {
				return registry.Login{}, fmt.Errorf("credentials for %s in %s: %w", key, file, err)
			}
			return login, nil
		}
	}
	return registry.Login{}, nil
}

// authKeys goes from the repository up to the host, as containers-auth.json(5)
// says.
func authKeys(ref Reference) []string {
	var keys []string
	for key := ref.host + "/" + ref.path; key != ref.host; key = key[:strings.LastIndexByte(key, '/')] {
		keys = append(keys, key)
	}
	return append(keys, ref.host)
}

func readAuths(file string) (map[string]authEntry, error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var whole struct {
		Auths map[string]authEntry `json:"auths"`
	}
	target := any(&whole)
	if filepath.Base(file) == ".dockercfg" { // the old form has no envelope
		target = &whole.Auths
	}
	if err := json.Unmarshal(b, target); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	entries := make(map[string]authEntry, len(whole.Auths))
	for key, entry := range whole.Auths {
		if entry != (authEntry{}) { // with a credential helper Docker leaves an empty entry
			entries[plainKey(key)] = entry
		}
	}
	return entries, nil
}

// plainKey turns what older tools wrote, https://index.docker.io/v1/, into
// host or host/path.
func plainKey(key string) string {
	key = strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
	key = strings.TrimSuffix(key, "/")
	if host, path, _ := strings.Cut(key, "/"); path == "v1" || path == "v2" {
		key = host
	}
	if key == legacyHost || key == "registry-1.docker.io" {
		key = defaultHost
	}
	return key
}

func (e authEntry) login() (registry.Login, error) {
	l := registry.Login{
		Username: e.Username, Password: e.Password,
		IdentityToken: e.IdentityToken, RegistryToken: e.RegistryToken,
	}
	if e.Auth == "" {
		return l, nil
	}
	plain, err := base64.StdEncoding.DecodeString(e.Auth)
	if err != nil {
		return l, errors.New("auth is not base64")
	}
	user, password, ok := strings.Cut(strings.TrimRight(string(plain), "\x00"), ":")
	if !ok {
		return l, errors.New("auth is not user:password")
	}
	l.Username, l.Password = user, password
	return l, nil
}
