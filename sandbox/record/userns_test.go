package record

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseUserNS(t *testing.T) {
	for _, text := range []string{"", "keep-id", "keep-id:uid=200,gid=210", "keep-id:gid=0", "nomap"} {
		u, err := ParseUserNS(text)
		if err != nil || u.String() != text {
			t.Errorf("%q is %q, %v", text, u, err)
		}
	}
	u, _ := ParseUserNS("keep-id:gid=7")
	if uid, gid := u.Kept(1000, 1001); uid != 1000 || gid != 7 {
		t.Errorf("kept as %d:%d", uid, gid)
	}
	for text, want := range map[string]string{
		"sideways":               "keep-id",
		"host":                   "always has a user namespace",
		"nomap:uid=1":            "no options",
		":uid=1":                 "no options",
		"keep-id:":               "want uid=N",
		"keep-id:uid":            "want uid=N",
		"keep-id:uid=-1":         "from 0 to 2147483647",
		"keep-id:uid=2147483648": "from 0 to 2147483647",
		"keep-id:size=5":         `no option "size"`,
	} {
		if _, err := ParseUserNS(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestARecordOfTheFirstKeepID is about records from when --userns had one mode.
func TestARecordOfTheFirstKeepID(t *testing.T) {
	root := Root(t.TempDir())
	c, err := root.Create("old")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	old := `{"version": 1, "id": "` + c.ID + `", "name": "old", "keepID": true}`
	if err := os.WriteFile(filepath.Join(c.Dir, specFile), []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := root.Spec(c.ID); err != nil || s.UserNS.Mode != KeepID || s.Name != "old" {
		t.Errorf("read %+v, %v", s, err)
	}
}
