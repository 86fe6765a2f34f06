package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"rootlet/pull/credentials"
)

// containerProxies are the variables that Docker's configuration gives to each
// container, `proxies.default` in ~/.docker/config.json, in both spellings. Those
// that the user sets himself are left to him.
func containerProxies(path string, given []string) ([]string, error) {
	if !filepath.IsAbs(path) {
		return nil, nil // there is no HOME
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ENOTDIR) {
		return nil, nil
	}
	var file struct {
		Proxies struct {
			Default map[string]string `json:"default"`
		} `json:"proxies"`
	}
	if err == nil && len(text) > 0 {
		err = json.Unmarshal(text, &file)
	}
	if err != nil {
		return nil, fmt.Errorf("proxies of containers: %s: %w", path, err)
	}
	var env []string
	for _, known := range [][2]string{
		{"httpProxy", "HTTP_PROXY"}, {"httpsProxy", "HTTPS_PROXY"}, {"noProxy", "NO_PROXY"}, {"ftpProxy", "FTP_PROXY"}, {"allProxy", "ALL_PROXY"},
	} {
		value := file.Proxies.Default[known[0]]
		for _, name := range []string{known[1], strings.ToLower(known[1])} {
			has := func(entry string) bool { return strings.HasPrefix(entry, name+"=") }
			if value != "" && !slices.ContainsFunc(given, has) {
				env = append(env, name+"="+value)
			}
		}
	}
	return env, nil
}

// dockerConfig is Docker's own configuration of this user.
func dockerConfig() string { return credentials.DockerFile(os.Getenv) }
