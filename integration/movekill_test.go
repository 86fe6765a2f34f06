package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rootlet/internal/testenv"
)

// moveSteps are those of a move, by the mark of which each begins, and whether
// afterwards what was moved to is in use.
var moveSteps = []struct {
	args     []string
	step     string
	switched bool
}{
	{[]string{}, "move begun", false},
	{[]string{}, "move marked", false},
	{[]string{}, "move copied", false},
	{[]string{}, "move ready", false},
	{[]string{}, "move switched", true},
	{[]string{"--layers"}, "move begun", false},
	{[]string{"--layers"}, "move layers copied", false},
	{[]string{"--layers"}, "move layers ready", false},
	{[]string{"--layers"}, "move layers switched", true},
}

// Whenever a move is killed, the old place is in use or the new one is, whole; the
// next command that removes something removes the other.
func TestMoveIsKilledAtEveryStep(t *testing.T) {
	testenv.Whoever(t)
	testenv.NeedUser(t)
	p, image := someone(t, "busybox")
	program := failpoints(t)
	p.rootlet("pull", "-q", image)
	p.rootlet("run", "--name", "keep", "--network", "none", image, "sh", "-c", "echo mine >/f")
	share := filepath.Join(p.home(), ".local/share")
	for i, s := range moveSteps {
		to := filepath.Join(p.home(), "to"+string(rune('a'+i)))
		used := p.places(share)
		c := p.command(append(append([]string{"system", "move"}, s.args...), to)...)
		c.Path, c.Env = program, append(slices.Clone(p.env), "ROOTLET_FAILPOINT="+s.step)
		if said, err := c.CombinedOutput(); err == nil {
			t.Fatalf("%v: it was not killed: %s", s, said)
		}
		p.rootlet("start", "-a", "keep")
		p.rootlet("volume", "create", "gone")
		p.rootlet("volume", "rm", "gone")
		now := p.places(share)
		if moved := now != used; moved != s.switched {
			t.Errorf("%v: it was %s and is %s", s, used, now)
		}
		if found := p.rootlet("system", "check"); found != "" {
			t.Errorf("%v: %s", s, found)
		}
		if mine := p.rootlet("diff", "keep"); !strings.Contains(mine, "A /f\n") {
			t.Errorf("%v: %q", s, mine)
		}
		for _, dir := range []string{share, p.home()} {
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				if path := filepath.Join(dir, e.Name()); path != filepath.Join(share, "rootlet") && e.Name() != ".local" && !strings.Contains(now, path) && !(e.IsDir() && isEmpty(path)) {
					t.Errorf("%v: left: %s", s, path)
				}
			}
		}
		if t.Failed() {
			t.FailNow()
		}
	}
}

func isEmpty(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && len(entries) == 0
}

// places says where the data and the layers are.
func (p *person) places(share string) string {
	p.t.Helper()
	data := filepath.Join(share, "rootlet")
	if target, err := os.Readlink(data); err == nil {
		data = target
	}
	var record struct{ Layers string }
	text, err := os.ReadFile(filepath.Join(data, "placement.json"))
	if err == nil {
		err = json.Unmarshal(text, &record)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return data + " " + record.Layers
}
