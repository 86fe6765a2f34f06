package sandbox

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
		removeLeftCgroup(record.State{Cgroup: dir}, id)
	}
	removeLeftCgroup(record.State{}, id)
	if _, err := os.Stat(mine); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(own); !os.IsNotExist(err) {
		t.Errorf("the container's own is there still: %v", err)
	}
}
