package cli

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestContainerProxies(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	if env, err := containerProxies(path, nil); env != nil || err != nil {
		t.Errorf("no file: %q, %v", env, err)
	}
	for text, want := range map[string][]string{
		"":             nil,
		`{"auths":{}}`: nil,
		`{"proxies":{"tcp://x":{"httpProxy":"no"}}}`: nil,
		`{"proxies":{"default":{"httpProxy":"http://p:1","noProxy":"a,b","httpsProxy":"s"}}}`: {
			"HTTP_PROXY=http://p:1", "http_proxy=http://p:1", "https_proxy=s", "NO_PROXY=a,b", "no_proxy=a,b",
		},
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if env, err := containerProxies(path, []string{"HTTPS_PROXY=mine"}); err != nil || !slices.Equal(env, want) {
			t.Errorf("%s: %q, %v", text, env, err)
		}
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := containerProxies(path, nil); err == nil {
		t.Error("nonsense is passed over")
	}
}
