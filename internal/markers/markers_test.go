package markers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWrite(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(page, []byte("above\n<!-- x: begin -->\nold\n<!-- x: end -->\nbelow\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Write(page, "x", "new\n"); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(page)
	if want := "above\n<!-- x: begin -->\nnew\n<!-- x: end -->\nbelow\n"; err != nil || string(text) != want {
		t.Errorf("%v: %s", err, text)
	}
	if err := Write(page, "y", "new\n"); err == nil || !strings.Contains(err.Error(), "no line <!-- y: begin -->") {
		t.Errorf("no such place: %v", err)
	}
}
