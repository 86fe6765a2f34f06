package own

import (
	"net"
	"strings"

	"rootlet/pull/serve"
)

// Paths are the repositories under which an image of this full name
// (HOST/REPOSITORY:TAG) is served, the first of which is shown, and the tag.
//
//	docker.io/library/debian:12   debian, library/debian, docker.io/library/debian
//	docker.io/me/app:1            me/app, docker.io/me/app
//	localhost:5000/me/app:1       me/app: a registry on this host, as this one is
//	quay.io/me/app:1              quay.io/me/app
//	reg.example:5000/me/app:1     reg.example_5000/me/app: a path has no colon
func Paths(fullName string) (paths []string, tag string) {
	host, rest, ok := strings.Cut(fullName, "/")
	repository, tag, tagged := strings.Cut(rest, ":")
	if !ok || !tagged || strings.Contains(rest, "@") || !serve.ValidTag(tag) {
		return nil, ""
	}
	far := strings.ReplaceAll(strings.ToLower(host), ":", "_") + "/" + repository
	switch {
	case host == "docker.io":
		if short, official := strings.CutPrefix(repository, "library/"); official {
			paths = append(paths, short)
		}
		paths = append(paths, repository, far)
	case onThisHost(host):
		paths = []string{repository}
	default:
		paths = []string{far}
	}
	for _, path := range paths {
		if !serve.ValidName(path) {
			return nil, ""
		}
	}
	return paths, tag
}

func onThisHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
