package integration

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"rootlet/pull/hostile"
)

func arch() string { return runtime.GOARCH }

// sight is all that stands below a stage: path to what it is.
type sight struct{ files map[string]string }

// look takes in home, store, victim and runtime directory, and the images.
func (s *hostileStage) look(t *testing.T) sight {
	t.Helper()
	seen := sight{map[string]string{}}
	for _, top := range []string{s.dir, s.runtime} {
		err := filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
			if err == nil || e != nil && os.IsPermission(err) {
				seen.files[path] = s.describe(path)
				return nil
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for id := range strings.FieldsSeq(s.rootlet(t, nil, "images", "-q", "--no-trunc").stdout) {
		seen.files["image "+id] = ""
	}
	return seen
}

// describe is what must stay the same of a file: all of it outside the store; in
// the store neither its number nor its times, and of what is written again each
// time (locks, events) that it is there.
func (s *hostileStage) describe(path string) string {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return err.Error()
	}
	what := fmt.Sprintf("mode %o owner %d:%d device %d", st.Mode, st.Uid, st.Gid, st.Rdev)
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return what
	}
	inside, isStore := strings.CutPrefix(path, s.home()+"/.local/share/rootlet/")
	switch {
	case strings.HasPrefix(path, s.runtime+"/"):
		return what
	case !isStore:
		what += fmt.Sprintf(" inode %d links %d written %v", st.Ino, st.Nlink, st.Mtim)
	case strings.HasSuffix(inside, "lock"), strings.HasPrefix(inside, "events"):
		return what
	}
	content, err := os.ReadFile(path)
	return what + fmt.Sprintf(" size %d content %x %v", st.Size, sha256.Sum256(content), err)
}

// compare fails the test for what has come, gone or changed.
func (before sight) compare(t *testing.T, after sight) {
	t.Helper()
	var changed []string
	for path, was := range before.files {
		if is, there := after.files[path]; !there {
			changed = append(changed, "gone: "+path)
		} else if is != was {
			changed = append(changed, "changed: "+path+": "+is+", was "+was)
		}
	}
	for path, is := range after.files {
		if _, was := before.files[path]; !was {
			changed = append(changed, "new: "+path+" "+is)
		}
	}
	if len(changed) > 0 {
		slices.Sort(changed)
		t.Errorf("not as it was:\n%s", strings.Join(changed[:min(len(changed), 20)], "\n"))
	}
}

// foreign are the attributes that no layer may have: they mean something to a
// driver, to another tool, or to the kernel.
var foreign = []string{"user.overlay.", "user.fuseoverlayfs.", "user.containers.", "user.rootlet.", "trusted.", "security.selinux", "security.ima", "security.evm"}

// checkLayers looks into the layers that the case brought: no device but
// overlay's own whiteouts, no attribute that is not an image's to set. Only our own
// marks may be there, where the case has reason for them.
func (s *hostileStage) checkLayers(t *testing.T, c hostile.Case, before sight) {
	t.Helper()
	layers, _ := filepath.Glob(s.home() + "/.local/share/rootlet/storage/overlay/*/diff")
	for _, dir := range layers {
		if _, was := before.files[dir]; was {
			continue
		}
		_ = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, _ error) error {
			var st unix.Stat_t
			if err := unix.Lstat(path, &st); err != nil {
				return nil // not for this user to see
			}
			if kind := st.Mode & unix.S_IFMT; (kind == unix.S_IFCHR || kind == unix.S_IFBLK) && st.Rdev != 0 {
				t.Errorf("%s is a device", path)
			}
			for name, value := range attributes(path) {
				ours := name == "user.overlay.opaque" && value == "y" && c.Class != 27
				if !ours && slices.ContainsFunc(foreign, func(p string) bool { return strings.HasPrefix(name, p) }) {
					t.Errorf("%s has %s=%q", path, name, value)
				}
			}
			return nil
		})
	}
}

// attributes are the extended attributes of a file, itself.
func attributes(path string) map[string]string {
	all := map[string]string{}
	names := make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, names)
	if err != nil {
		return all
	}
	value := make([]byte, 64<<10)
	for name := range strings.SplitSeq(strings.TrimRight(string(names[:n]), "\x00"), "\x00") {
		if name == "" {
			continue
		}
		n, _ := unix.Lgetxattr(path, name, value)
		all[name] = string(value[:max(n, 0)])
	}
	return all
}

// corpusTable is docs/hostile.md.
func corpusTable(cases []hostile.Case, verdicts []verdict) string {
	refused := 0
	var rows strings.Builder
	for i, c := range cases {
		what, result := c.What, "confined"
		if message := verdicts[i].message; message != "" {
			refused++
			result = "refused: `" + strings.NewReplacer("|", "\\|", "`", "'").Replace(shortened(message)) + "`"
		}
		fmt.Fprintf(&rows, "| %d | %d | %s | %s | %s |\n", i+1, c.Class, c.Name, what, result)
	}
	return fmt.Sprintf(corpusHead, len(cases), refused, len(cases)-refused, len(slices.Collect(maps.Keys(classesOf(cases))))) + rows.String()
}

func classesOf(cases []hostile.Case) map[int]bool {
	classes := map[int]bool{}
	for _, c := range cases {
		classes[c.Class] = true
	}
	return classes
}

func shortened(s string) string {
	const most = 160
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

const corpusHead = `# The hostile corpus

Images, registries and archives that attack whoever takes them. They are made in
Go (pull/hostile) and played against the binary, as a user with subordinate ids and
as one without, by TestHostileCorpus (integration/corpus_test.go), which also writes
this table: %d cases, of which %d are refused and %d run confined, of %d classes.

Each case has to leave a file outside as it was, and the store too: what is refused
leaves no image, layer or blob; what was confined can be removed and leaves nothing. No process
takes more than 256 MiB, no case more than 10 seconds; the error is one line without
control characters. In the messages, REGISTRY is the registry, OTHER another host,
VICTIM the directory that is attacked and HEX a digest.

| # | class | case | what | result |
|---|---|---|---|---|
`
