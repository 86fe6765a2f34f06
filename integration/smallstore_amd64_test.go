package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rootlet/internal/testenv"
)

// smallStore pulls $NEW into a file system of its own that grows from one try to
// the next, in what $LIMIT says (size, nr_inodes), until it is large enough; then
// it makes it read-only. A line "try" says what was there after each try.
const smallStore = `
mount -t tmpfs -o size=64m,nr_inodes=4000,mode=700 tmpfs "$XDG_DATA_HOME" || exit 99
limit() { mount -o "remount,$LIMIT=$1$UNIT" "$XDG_DATA_HOME"; }
used() { df --output="$USED" "$XDG_DATA_HOME" | tail -n 1 | tr -d ' '; }
rootlet pull -q "$OLD" >/dev/null || exit 98
extra=0
while :; do
	before=$(used)
	limit $((before + extra))
	rootlet pull -q "$NEW" >/dev/null 2>"$HOME/said"; code=$?
	grown=$(($(used) - before))
	limit "$PLENTY"
	listed=$(rootlet images -q | wc -l)
	rootlet run --rm --network none --pull never "$OLD" 2>/dev/null; ran=$?
	echo "try $extra: code $code grown $grown listed $listed ran $ran"
	sed 's/^/said /' "$HOME/said"
	[ $code -ne 0 ] || break
	extra=$((extra + STEP))
done
rootlet run --rm --network none --pull never "$NEW" 2>/dev/null; echo "new ran $?"
rootlet system check >/dev/null; echo "check $?"
mount -o remount,ro "$XDG_DATA_HOME"
echo "read-only listed $(rootlet images -q | wc -l)"
rootlet pull -q "$OTHER" 2>&1 | sed 's/^/said read-only /'
`

// F10 and F11, in earnest: the store's disk is too small, or has too few inodes,
// at first by everything and then by less and less; and it is read-only.
func TestTheStoreIsTooSmall(t *testing.T) {
	testenv.Whoever(t)
	testenv.NeedProgram(t, "unshare")
	if os.Geteuid() == 0 {
		testenv.NotFor(t, "a user namespace of one id")
	}
	m := newMeter(t)
	old, other := newPulled(t, m), newPulled(t, m, 10)
	fresh := newPulled(t, m, 100<<10, 400<<10, 200<<10)
	for name, env := range map[string][]string{
		"space":  {"LIMIT=size", "UNIT=k", "USED=used", "PLENTY=65536", "STEP=60"},
		"inodes": {"LIMIT=nr_inodes", "UNIT=", "USED=iused", "PLENTY=4000", "STEP=1"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPerson(t)
			data := filepath.Join(p.home(), "small")
			if err := os.Mkdir(data, 0o700); err != nil {
				t.Fatal(err)
			}
			c := exec.Command("unshare", "--user", "--map-current-user", "--mount", "--keep-caps", "sh", "-c", smallStore)
			c.Env = append(append(p.env, env...), "XDG_DATA_HOME="+data, "OLD="+old.ref, "NEW="+fresh.ref, "OTHER="+other.ref)
			output, err := c.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, output)
			}
			checkSmall(t, string(output))
		})
	}
}

func checkSmall(t *testing.T, output string) {
	t.Helper()
	failed := 0
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		var extra, code, grown, listed, ran int
		_, err := fmt.Sscanf(line, "try %d: code %d grown %d listed %d ran %d", &extra, &code, &grown, &listed, &ran)
		switch {
		case err == nil && code != 0:
			failed++
			if code != 1 || grown > 8 || listed != 1 || ran != 0 {
				t.Errorf("%s", line)
			}
		case err == nil && (listed != 2 || ran != 0):
			t.Errorf("%s", line)
		case strings.HasPrefix(line, "said rootlet: error: ") && !strings.Contains(line, "no space left on device") && !strings.Contains(line, "are kept free"),
			strings.HasPrefix(line, "said read-only rootlet: error: ") && !strings.Contains(line, "read-only"):
			t.Errorf("it does not say why: %s", line)
		}
	}
	for _, end := range []string{"said rootlet: hint: df -h ", "new ran 0", "check 0", "read-only listed 2", "said read-only rootlet: error: "} {
		if !strings.Contains(output, "\n"+end) {
			t.Errorf("not %q", end)
		}
	}
	if failed < 5 {
		t.Errorf("only %d tries had too little", failed)
	}
	if t.Failed() {
		t.Log(output)
	}
}
