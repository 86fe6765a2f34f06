package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rootlet/cli/placement"
)

// A link in the data directory's place is followed where a move has made it, and
// nowhere else; while a move goes on nothing is.
func TestMovedData(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_DATA_HOME", dir)
	t.Setenv("XDG_RUNTIME_DIR", "")
	named, target := filepath.Join(dir, "rootlet"), filepath.Join(dir, "moved")
	if err := os.Symlink(target, named); err != nil {
		t.Fatal(err)
	}
	fails := func(what, want string) {
		t.Helper()
		if got, err := findPaths(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
	fails("a dangling link", "is not there: is its disk mounted?")
	if err := os.Mkdir(target, 0o755); err != nil {
		t.Fatal(err)
	}
	fails("to any directory", "is no data directory of rootlet's")
	if err := placement.WriteFor(target, named, placement.Record{}); err != nil {
		t.Fatal(err)
	}
	fails("to one that is open", "is no data directory of rootlet's")
	if err := os.Chmod(target, 0o700); err != nil {
		t.Fatal(err)
	}
	if got, err := findPaths(); err != nil || got.Data != target {
		t.Errorf("%+v, %v", got, err)
	}

	f, err := journal{Named: named, From: target, To: named}.begin()
	if err != nil {
		t.Fatal(err)
	}
	fails("during a move", "the data is being moved")
	if other, err := (journal{Named: named}).begin(); err == nil || !strings.Contains(err.Error(), "another move is going on") {
		t.Errorf("two moves at once: %v, %v", other, err)
	}
	f.Close() // as when its process dies
	if got, err := findPaths(); err != nil || got.Data != target {
		t.Errorf("after a move that died: %+v, %v", got, err)
	}
}

// Where two names cannot be exchanged a move that dies in between leaves none: the old
// data has it again.
func TestANameIsPutBack(t *testing.T) {
	for name, old := range map[string]bool{"it was a directory": true, "it was a link": false} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			t.Setenv("XDG_DATA_HOME", dir)
			t.Setenv("XDG_RUNTIME_DIR", "")
			j := journal{Named: filepath.Join(dir, "rootlet"), From: filepath.Join(dir, "from"), To: filepath.Join(dir, "to")}
			data := j.From
			if old {
				data, j.From = j.old(), j.Named
			}
			if err := os.Mkdir(data, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := placement.WriteFor(data, j.Named, placement.Record{}); err != nil {
				t.Fatal(err)
			}
			f, err := j.begin()
			if err != nil {
				t.Fatal(err)
			}
			f.Close()
			if _, err := findPaths(); err != nil {
				t.Fatal(err)
			}
			if got, err := findPaths(); err != nil || got.Data != j.From {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}
