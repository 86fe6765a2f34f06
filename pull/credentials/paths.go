// Package credentials finds, keeps and forgets the logins of registries: in the
// files of Podman and Docker, and through docker-credential-* programs. It runs in
// the user's own process and never in a worker: the programs are the user's, and
// so is what they may open. It does not speak to registries.
package credentials

import (
	"path/filepath"
)

// Paths lists the files that may hold credentials, in the order in which they
// count: Podman's, then Docker's.
func Paths(getenv func(string) string) []string {
	var files []string
	if f := getenv("REGISTRY_AUTH_FILE"); f != "" {
		files = append(files, f)
	}
	if dir := getenv("XDG_RUNTIME_DIR"); dir != "" {
		files = append(files, filepath.Join(dir, "containers/auth.json"))
	}
	home := getenv("HOME")
	for _, f := range []string{
		filepath.Join(or(getenv("XDG_CONFIG_HOME"), filepath.Join(home, ".config")), "containers/auth.json"),
		DockerFile(getenv),
		filepath.Join(home, dockercfg),
	} {
		// Without a HOME they would be those of whoever made the working directory.
		if filepath.IsAbs(f) {
			files = append(files, f)
		}
	}
	return files
}

// DockerFile is Docker's own configuration of a user, in which it keeps logins. It
// is no absolute path where there is no HOME, and then not to be used.
func DockerFile(getenv func(string) string) string {
	return filepath.Join(or(getenv("DOCKER_CONFIG"), filepath.Join(getenv("HOME"), ".docker")), "config.json")
}

func or(value, fallback string) string {
	if value != "" {
		return value
	}
	return fallback
}
