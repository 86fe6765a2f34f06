package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func lookupIn(env map[string]string) func(string) (string, bool) {
	return func(key string) (string, bool) { value, ok := env[key]; return value, ok }
}

func TestEnvEntry(t *testing.T) {
	host := lookupIn(map[string]string{"HERE": "yes", "EMPTY": ""})
	for entry, want := range map[string][]string{
		"A=1":      {"A=1"},
		"A=":       {"A="},
		"A=b=c":    {"A=b=c"},
		"A=1,2":    {"A=1,2"},
		"A=\n":     {"A=\n"},
		"HERE":     {"HERE=yes"},
		"EMPTY":    {"EMPTY="},
		"HERE=":    {"HERE="},
		"ABSENT":   nil,
		"HER*":     nil,
		"*":        nil,
		"sp ace=x": {"sp ace=x"},
	} {
		if got, err := envEntry(entry, host); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v; want %q", entry, got, err, want)
		}
	}
	for _, entry := range []string{"", "=", "=x", "A\nB=1", "A\x00=1", "A=\x00"} {
		if got, err := envEntry(entry, host); err == nil {
			t.Errorf("%q: %q", entry, got)
		}
	}
}

func TestReadEnvFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "env")
	read := func(text string) ([]string, error) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return readEnvFile(name, lookupIn(map[string]string{"HERE": "yes"}))
	}
	got, err := read("\ufeff# comment\n\nA=1\n  B = 2\nC='quoted' # kept\r\nHERE\nABSENT\n\t# too\nD=")
	if err == nil {
		t.Errorf("a name with a space in it: %q", got)
	}
	got, err = read("\ufeff# comment\n\nA=1\n  B= 2 \nC='quoted' # kept\r\nHERE\nABSENT\n\t# too\nD=")
	if want := []string{"A=1", "B= 2 ", "C='quoted' # kept", "HERE=yes", "D="}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	for text, want := range map[string]string{"A=1\n=2\n": "line 2", "A B=1": "line 1", "A=\x00": "line 1"} {
		if got, err := read(text); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), name) {
			t.Errorf("%q: %q, %v; want the file and %s", text, got, err, want)
		}
	}
	if _, err := readEnvFile(name+".not", nil); err == nil || !strings.Contains(err.Error(), "--env-file") {
		t.Errorf("no file: %v", err)
	}
}

// FuzzEnvEntry: whatever is taken is a KEY=VALUE that execve can carry, and the
// host's value only where the very name was asked for.
func FuzzEnvEntry(f *testing.F) {
	f.Add("A=1")
	f.Add("SECRET")
	f.Add("*")
	f.Fuzz(func(t *testing.T, entry string) {
		env, err := envEntry(entry, lookupIn(map[string]string{"SECRET": "hunter2"}))
		if err != nil {
			return
		}
		for _, e := range env {
			key, value, ok := strings.Cut(e, "=")
			if !ok || key == "" || strings.ContainsRune(e, 0) || e != entry && (entry != "SECRET" || value != "hunter2") {
				t.Errorf("%q became %q", entry, e)
			}
		}
	})
}
