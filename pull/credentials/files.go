package credentials

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"rootlet/pull/registry"
)

const (
	dockercfg = ".dockercfg" // the file of Docker before 1.7, which has no envelope

	hub       = "docker.io"
	hubServer = "https://index.docker.io/v1/" // what Docker calls it in its file and to helpers

	maxFile = 4 << 20
)

// file is what one file holds.
type file struct {
	path    string
	auths   map[string]entry  // by host or host/path
	helpers map[string]string // host: name of a helper
	store   string            // the helper of all other hosts
}

// entry is one login in a file (docker/cli, types.AuthConfig).
type entry struct {
	Auth          string `json:"auth,omitempty"` // base64 of user:password
	Username      string `json:"username,omitempty"`
	Password      string `json:"password,omitempty"`
	IdentityToken string `json:"identitytoken,omitempty"`
	RegistryToken string `json:"registrytoken,omitempty"`
}

// read reads a file. One that is not there, or not ours to read, holds nothing.
func read(path string) (*file, fs.FileInfo, error) {
	f := &file{path: path}
	b, info, err := readAll(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ENOTDIR) {
		return f, nil, nil
	}
	if err != nil || len(b) == 0 {
		return f, info, err
	}
	var whole struct {
		Auths       map[string]entry  `json:"auths"`
		CredHelpers map[string]string `json:"credHelpers"`
		CredsStore  string            `json:"credsStore"`
	}
	target := any(&whole)
	if filepath.Base(path) == dockercfg {
		target = &whole.Auths
	}
	if err := json.Unmarshal(b, target); err != nil {
		return f, info, fmt.Errorf("%s: %w", path, err)
	}
	f.auths, f.helpers, f.store = byPlainKey(whole.Auths), byPlainKey(whole.CredHelpers), whole.CredsStore
	return f, info, nil
}

func readAll(path string) ([]byte, fs.FileInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("%s: larger than %d MiB", path, maxFile>>20)
	}
	return b, info, err
}

// byPlainKey goes by what a key means. Where several mean the same, the plain one
// counts.
func byPlainKey[T any](m map[string]T) map[string]T {
	plain := make(map[string]T, len(m))
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		if _, there := m[PlainKey(key)]; !there || key == PlainKey(key) {
			plain[PlainKey(key)] = m[key]
		}
	}
	return plain
}

// PlainKey turns what older tools wrote, and what users paste, such as
// https://index.docker.io/v1/, into host or host/path.
func PlainKey(key string) string {
	key = strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
	key = strings.TrimSuffix(key, "/")
	if host, path, _ := strings.Cut(key, "/"); path == "v1" || path == "v2" {
		key = host
	}
	if key == "index.docker.io" || key == "registry-1.docker.io" {
		key = hub
	}
	return key
}

// keys goes from the repository up to the host, as containers-auth.json(5) says.
func keys(host, repository string) []string {
	var all []string
	if repository != "" {
		for key := host + "/" + repository; key != host; key = key[:strings.LastIndexByte(key, '/')] {
			all = append(all, key)
		}
	}
	return append(all, host)
}

// inline is the login that the file itself holds.
func (f *file) inline(host, repository string) (registry.Login, error) {
	for _, key := range keys(host, repository) {
		e := f.auths[key]
		if e == (entry{}) { // with a credential helper Docker leaves an empty entry
			continue
		}
		login, err := e.login()
		if err != nil {
			return login, fmt.Errorf("credentials for %s in %s: %w", key, f.path, err)
		}
		return login, nil
	}
	return registry.Login{}, nil
}

func (e entry) login() (registry.Login, error) {
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

func entryOf(l registry.Login) entry {
	e := entry{IdentityToken: l.IdentityToken, RegistryToken: l.RegistryToken}
	if l.Username != "" || l.Password != "" {
		e.Auth = base64.StdEncoding.EncodeToString([]byte(l.Username + ":" + l.Password))
	}
	return e
}
