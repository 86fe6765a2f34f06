package registries

import "testing"

func TestLoginKey(t *testing.T) {
	for given, want := range map[string][2]string{
		"":                            {"docker.io", "docker.io"},
		"docker.io":                   {"docker.io", "docker.io"},
		"https://index.docker.io/v1/": {"docker.io", "docker.io"},
		"quay.io":                     {"quay.io", "quay.io"},
		"https://quay.io/":            {"quay.io", "quay.io"},
		"quay.io/team":                {"quay.io", "quay.io/team"},
		"localhost":                   {"localhost", "localhost"},
		"127.0.0.1:5000":              {"127.0.0.1:5000", "127.0.0.1:5000"},
		"[::1]:5000":                  {"[::1]:5000", "[::1]:5000"},
		"quay":                        {},
		"quay.io/UPPER":               {},
		"quay.io/team:1":              {},
		"a b.c":                       {},
		"../x":                        {},
	} {
		host, key, err := LoginKey(given)
		if (err != nil) != (want[0] == "") {
			t.Errorf("%q: %v", given, err)
		}
		if err == nil && (host != want[0] || key != want[1]) {
			t.Errorf("%q: %q, %q", given, host, key)
		}
	}
}
