package cgroup

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rootlet/sandbox/record"
)

func TestADamagedRecordRemovesNoDirectory(t *testing.T) {
	id := strings.Repeat("ab", 32)
	mine, own := filepath.Join(t.TempDir(), "mine"), filepath.Join(t.TempDir(), "rootlet-"+id[:12])
	for _, dir := range []string{mine, own} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		removeLeft(record.State{Cgroup: dir}, id)
	}
	removeLeft(record.State{}, id)
	if _, err := os.Stat(mine); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(own); !os.IsNotExist(err) {
		t.Errorf("the container's own is there still: %v", err)
	}
}

func removeLeft(s record.State, id string) {
	if g := Of(s, id); g != nil {
		g.Remove()
	}
}

func TestV2Path(t *testing.T) {
	for text, want := range map[string]string{
		"0::/user.slice/x.service\n":           "user.slice/x.service",
		"2:cpu:/a\n1:name=systemd:/b\n0::/c\n": "c",
		"0::/\n":                               "",
		"0::/../../outside\n":                  "../../outside",
	} {
		if got, ok := v2Path(text); !ok || got != want {
			t.Errorf("%q: %q, %v", text, got, ok)
		}
	}
	if got, ok := v2Path("1:name=systemd:/b\n"); ok {
		t.Errorf("v1 only: %q", got)
	}
}

func TestCountOf(t *testing.T) {
	const text = "low 1\noom 2\noom_kill 3\n"
	for name, want := range map[string]int{"oom_kill": 3, "oom": 2, "high": 0} {
		if got := CountOf(text, name); got != want {
			t.Errorf("%s: %d", name, got)
		}
	}
}
