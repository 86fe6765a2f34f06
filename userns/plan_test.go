package userns

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/internal/testenv"
)

// fakeHost has these files, and ann for its user.
func fakeHost(t *testing.T, files map[string]string) *host {
	t.Helper()
	root := t.TempDir()
	everything := "0 0 4294967295\n"
	all := map[string]string{
		"/etc/passwd":         "root:x:0:0::/root:/bin/sh\nann:x:1001:1001::/home/ann:/bin/sh\n",
		"/proc/self/uid_map":  everything,
		"/proc/self/gid_map":  everything,
		"/usr/bin/.directory": "",
		"/etc/os-release":     "ID=debian\n",
	}
	for path, data := range files {
		all[path] = data
	}
	for path, data := range all {
		if err := os.MkdirAll(filepath.Dir(root+path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(root+path, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return &host{root: root, uid: 1001, gid: 1001}
}

// planOf reads the host and plans.
func planOf(t *testing.T, h *host) *Plan {
	t.Helper()
	if err := h.read(""); err != nil {
		t.Fatal(err)
	}
	p, err := h.plan()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// withMappers gives the host the machine's own programs.
func withMappers(t *testing.T, h *host) {
	t.Helper()
	for _, name := range []string{"newuidmap", "newgidmap"} {
		if err := os.Symlink(testenv.NeedProgram(t, name), h.root+"/usr/bin/"+name); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPlanMapsEveryRange(t *testing.T) {
	h := fakeHost(t, map[string]string{
		subuidFile: "ann:100000:65536\nbob:165536:65536\n1001:400000:1000\n",
		subgidFile: "ann:700000:65536\n",
	})
	withMappers(t, h)
	p := planOf(t, h)
	uids := []Extent{{0, 1001, 1}, {1, 100000, 65536}, {65537, 400000, 1000}}
	gids := []Extent{{0, 1001, 1}, {1, 700000, 65536}}
	if p.Method != NewIDMap || p.Why != "" || p.Fix != nil || p.Warnings != nil || p.Notice() != "" {
		t.Errorf("plan %+v: want the best there is", p)
	}
	if !reflect.DeepEqual(p.UIDs, uids) || !reflect.DeepEqual(p.GIDs, gids) {
		t.Errorf("maps %v %v, want %v %v", p.UIDs, p.GIDs, uids, gids)
	}
}

// A few ids are used, and said to be few.
func TestPlanOfFewIDs(t *testing.T) {
	h := fakeHost(t, map[string]string{
		subuidFile: "ann:100000:65536\n", subgidFile: "ann:100000:1000\n", "/etc/os-release": "ID=alpine\n",
	})
	withMappers(t, h)
	p := planOf(t, h)
	why, fix := "ann has 65537 uids and 1001 gids, and images have files of ids up to 65535", []string{"echo ann:165536:65536 | tee -a /etc/subgid"}
	if p.Method != NewIDMap || p.Why != why || !reflect.DeepEqual(p.Fix, fix) || p.Notice() != "" {
		t.Errorf("%+v", p)
	}
}

func TestPlanWarnsOfSharedRanges(t *testing.T) {
	h := fakeHost(t, map[string]string{
		"/etc/passwd": "ann:x:1001:1001::/:/bin/sh\nbob:x:100005:1::/:/bin/sh\n",
		subuidFile:    "ann:100000:65536\nbob:100000:65536\n",
		subgidFile:    "ann:100000:65536\n",
	})
	withMappers(t, h)
	want := []string{
		`/etc/subuid:2: "bob:100000:65536" overlaps the ids of ann: each can change the other's files`,
		`the subordinate uids of ann hold 100005, which is the account "bob"`,
	}
	if p := planOf(t, h); p.Method != NewIDMap || !reflect.DeepEqual(p.Warnings, want) {
		t.Errorf("%s with %q, want %q", p.Method, p.Warnings, want)
	}
}

func TestPlanFallsBackToOneID(t *testing.T) {
	both := map[string]string{subuidFile: "ann:100000:65536\n", subgidFile: "ann:100000:65536\n"}
	for _, c := range []struct {
		name  string
		files map[string]string
		nnp   bool
		why   string
		fix   []string
	}{
		{
			name: "no tables",
			why:  "ann has no subordinate uids in /etc/subuid and no subordinate gids in /etc/subgid",
			fix:  []string{"usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ann", "apt-get install uidmap"},
		},
		{
			name:  "others have the first range",
			files: map[string]string{subuidFile: "bob:100000:65536\n", subgidFile: "bob:100000:65536\n"},
			why:   "ann has no subordinate uids in /etc/subuid and no subordinate gids in /etc/subgid",
			fix:   []string{"usermod --add-subuids 165536-231071 --add-subgids 165536-231071 ann", "apt-get install uidmap"},
		},
		{
			name:  "uids alone",
			files: map[string]string{subuidFile: "ann:100000:65536\n", subgidFile: ""},
			why:   "ann has no subordinate gids in /etc/subgid",
			fix:   []string{"usermod --add-subgids 165536-231071 ann", "apt-get install uidmap"},
		},
		{
			name:  "gids alone",
			files: map[string]string{subgidFile: "1001:100000:65536\n"},
			why:   "ann has no subordinate uids in /etc/subuid",
			fix:   []string{"usermod --add-subuids 165536-231071 ann", "apt-get install uidmap"},
		},
		{
			name:  "no newuidmap",
			files: both,
			why:   "newuidmap is not installed",
			fix:   []string{"apt-get install uidmap"},
		},
		{
			name:  "not a name of the files, and no getsubids to ask",
			files: map[string]string{nsswitch: "passwd: files\nsubid: sss # directory\n"},
			why:   "ann has no subordinate uids in /etc/subuid and no subordinate gids in /etc/subgid (getsubids: getsubids is not installed)",
			fix:   []string{"usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ann", "apt-get install uidmap"},
		},
		{
			name: "in a container that lacks them",
			files: map[string]string{
				subuidFile: "ann:100000:65536\n", subgidFile: "ann:100000:65536\n",
				"/proc/self/uid_map": "0 1000 1\n1 100000 65536\n", "/proc/self/gid_map": "0 1000 1\n1 100000 65536\n",
			},
			why: "the subordinate ids of ann do not exist in this user namespace: see /proc/self/uid_map",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := planOf(t, fakeHost(t, c.files))
			if p.Method != OneID || p.Why != c.why || !reflect.DeepEqual(p.Fix, c.fix) {
				t.Errorf("%s, %q, %q\nwant %q, %q", p.Method, p.Why, p.Fix, c.why, c.fix)
			}
			want := []Extent{{0, 1001, 1}}
			if !reflect.DeepEqual(p.UIDs, want) || !reflect.DeepEqual(p.GIDs, want) {
				t.Errorf("maps %v %v", p.UIDs, p.GIDs)
			}
		})
	}
}

func TestPlanUnderNoNewPrivs(t *testing.T) {
	h := fakeHost(t, map[string]string{subuidFile: "ann:100000:65536\n", subgidFile: "ann:100000:65536\n"})
	withMappers(t, h)
	h.noNewPrivs = true
	if p := planOf(t, h); p.Method != OneID || !strings.Contains(p.Why, "no_new_privs") {
		t.Errorf("%s, %q", p.Method, p.Why)
	}
}

// In a container without CAP_SYS_ADMIN it depends on how newuidmap was made.
func TestPlanWithoutAdmin(t *testing.T) {
	h := fakeHost(t, map[string]string{subuidFile: "ann:100000:65536\n", subgidFile: "ann:100000:65536\n"})
	withMappers(t, h)
	h.noAdmin = true
	path := h.root + "/usr/bin/newuidmap"
	p := planOf(t, h)
	if needsAdmin(path) || needsAdmin(h.root+"/usr/bin/newgidmap") {
		if p.Method != OneID || !strings.Contains(p.Why, "made without libcap") || len(p.Fix) != 1 || !strings.Contains(p.Fix[0], "setcap cap_setuid=ep "+path) {
			t.Errorf("%s, %q, %q", p.Method, p.Why, p.Fix)
		}
	} else if p.Method != NewIDMap {
		t.Errorf("%s, %q", p.Method, p.Why)
	}
	if needsAdmin("/proc/self/exe") {
		t.Error("a program that is not set-user-ID")
	}
}

// A user of a directory service is known to the system and in no file; one of a container
// that was started under a number is known to nobody, and newuidmap refuses him.
func TestPlanOfWhomNoFileNames(t *testing.T) {
	for _, known := range []bool{true, false} {
		h := fakeHost(t, map[string]string{"/etc/passwd": "root:x:0:0::/:\n", subuidFile: "ann:100000:65536\n", subgidFile: "ann:100000:65536\n"})
		withMappers(t, h)
		h.nameless = func(uint32) bool { return !known }
		if err := h.read("ann"); err != nil {
			t.Fatal(err)
		}
		p, err := h.plan()
		if err != nil || (p.Method == NewIDMap) != known || !known && !strings.Contains(p.Why, "knows no user of the number 1001") {
			t.Errorf("known: %v: %s, %q, %v", known, p.Method, p.Why, err)
		}
	}
}

func TestPlanRefusesOwnMalformedLine(t *testing.T) {
	h := fakeHost(t, map[string]string{subuidFile: "bob:1\nann:100000\n", subgidFile: "ann:100000:65536\n"})
	if err := h.read(""); err != nil {
		t.Fatal(err)
	}
	_, err := h.plan()
	if want := `/etc/subuid:2: "ann:100000": not of the form NAME:FIRST:COUNT`; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// A user of a directory service is in no file: the login name is all there is.
func TestPlanUsesLoginName(t *testing.T) {
	h := fakeHost(t, map[string]string{"/etc/passwd": "", subuidFile: "dora:100000:5\n"})
	if err := h.read("dora"); err != nil {
		t.Fatal(err)
	}
	ids, err := h.subIDs()
	if err != nil || !reflect.DeepEqual(ids.uids, []span{{100000, 5}}) {
		t.Errorf("%+v, %v", ids, err)
	}
}

func TestRootPlan(t *testing.T) {
	container := "0 1000 1\n1 100000 65536\n"
	for _, c := range []struct {
		name       string
		files      map[string]string
		uids, gids []Extent
		method     Method
	}{
		{
			name: "nothing in the tables", method: Root,
			uids: []Extent{{0, 0, 1}, {1, 1 << 31, 65535}},
			gids: []Extent{{0, 0, 1}, {1, 1 << 31, 65535}},
		},
		{
			name: "root has ranges", method: Root,
			files: map[string]string{subuidFile: "root:100000:10\ncontainers:200000:10\n", subgidFile: "0:100000:20\n"},
			uids:  []Extent{{0, 0, 1}, {1, 100000, 10}},
			gids:  []Extent{{0, 0, 1}, {1, 100000, 20}},
		},
		{
			name: "containers has", method: Root,
			files: map[string]string{subuidFile: "containers:200000:10\n", subgidFile: "containers:300000:10\n"},
			uids:  []Extent{{0, 0, 1}, {1, 200000, 10}},
			gids:  []Extent{{0, 0, 1}, {1, 300000, 10}},
		},
		{
			name: "the high range is taken", method: Root,
			files: map[string]string{subuidFile: "bob:2147483648:65536\n", subgidFile: "containers:x:y\n"},
			uids:  []Extent{{0, 0, 1}, {1, 1<<31 + 65536, 65535}},
			gids:  []Extent{{0, 0, 1}, {1, 1<<31 + 65536, 65535}},
		},
		{
			name: "root of a container", method: OneID,
			files: map[string]string{"/proc/self/uid_map": container, "/proc/self/gid_map": container},
			uids:  []Extent{{0, 0, 1}},
			gids:  []Extent{{0, 0, 1}},
		},
		{
			name: "root of a container that has ranges", method: Root,
			files: map[string]string{
				"/proc/self/uid_map": container, "/proc/self/gid_map": container,
				subuidFile: "root:1:65535\n", subgidFile: "root:1:65535\n",
			},
			uids: []Extent{{0, 0, 1}, {1, 1, 65535}},
			gids: []Extent{{0, 0, 1}, {1, 1, 65535}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := fakeHost(t, c.files)
			h.uid, h.gid = 0, 0
			p := planOf(t, h)
			if p.Method != c.method || !reflect.DeepEqual(p.UIDs, c.uids) || !reflect.DeepEqual(p.GIDs, c.gids) {
				t.Errorf("%s %v %v, want %s %v %v", p.Method, p.UIDs, p.GIDs, c.method, c.uids, c.gids)
			}
			if p.Why == "" || p.Notice() == "" || len(p.Fix) != 1 {
				t.Errorf("why %q, notice %q, fix %q", p.Why, p.Notice(), p.Fix)
			}
		})
	}
}

func TestSubidSource(t *testing.T) {
	for conf, want := range map[string]bool{
		"":                             false,
		"passwd: files sss\n":          false,
		"subid: files\n":               false,
		"subid:\tsss\n":                true,
		" subid : files ldap\n":        true,
		"# subid: sss\n":               false,
		"subid: files # sss\n":         false,
		"passwd: sss\nsubid: sss":      true,
		"netgroup: sss\nsubidx: sss\n": false,
	} {
		if got := subidSource(conf); got != want {
			t.Errorf("%q: %v, want %v", conf, got, want)
		}
	}
}

func TestProgramCheck(t *testing.T) {
	const file = unix.S_IFREG | 0o755
	for _, c := range []struct {
		name string
		f    program
		need trust
		want string // "" is trusted
	}{
		{"setuid root", program{mode: file | unix.S_ISUID}, maySetUIDs, ""},
		{"file capability", program{mode: file, permitted: 1 << unix.CAP_SETUID}, maySetUIDs, ""},
		{"file capability of groups", program{mode: file, permitted: 1 << unix.CAP_SETGID}, maySetGIDs, ""},
		{"the wrong capability", program{mode: file, permitted: 1 << unix.CAP_SETGID}, maySetUIDs, "is neither setuid nor has the file capability cap_setuid"},
		{"plain", program{mode: file}, maySetGIDs, "is neither setuid nor has the file capability cap_setgid"},
		{"plain is enough for getsubids", program{mode: file}, ownedByRoot, ""},
		{"setgid is not setuid", program{mode: file | unix.S_ISGID}, maySetUIDs, "is neither setuid nor has the file capability cap_setuid"},
		{"a user's", program{mode: file | unix.S_ISUID, owner: 1000}, maySetUIDs, "belongs to the user 1000, not to root"},
		{"group may write", program{mode: file | unix.S_ISUID | 0o020}, maySetUIDs, "can be written by others than root (mode 4775)"},
		{"others may write", program{mode: file | 0o002}, ownedByRoot, "can be written by others than root (mode 0757)"},
		{"a directory", program{mode: unix.S_IFDIR | 0o755}, ownedByRoot, "not a regular file"},
		{"nosuid", program{mode: file | unix.S_ISUID, nosuid: true}, maySetUIDs, "its filesystem is mounted nosuid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := errorText(c.f.check(c.need)); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestEffectiveCaps(t *testing.T) {
	setuid := []byte{0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	for _, c := range []struct {
		name string
		attr []byte
		want uint32
	}{
		{"version 2, effective", append([]byte{1, 0, 0, 2}, setuid...), 1 << unix.CAP_SETUID},
		{"version 3, effective", append(append([]byte{1, 0, 0, 3}, setuid...), 0, 0, 0, 0), 1 << unix.CAP_SETUID},
		{"not effective", append([]byte{0, 0, 0, 2}, setuid...), 0},
		{"version 1", append([]byte{1, 0, 0, 1}, setuid...), 0},
		{"cut off", []byte{1, 0, 0, 2, 0x80}, 0},
		{"none", nil, 0},
	} {
		if got := effectiveCaps(c.attr); got != c.want {
			t.Errorf("%s: %#x, want %#x", c.name, got, c.want)
		}
	}
}

// An untrusted program in a directory is named, with the reason.
func TestPlanNamesTheUntrustedProgram(t *testing.T) {
	h := fakeHost(t, map[string]string{
		subuidFile: "ann:100000:65536\n", subgidFile: "ann:100000:65536\n",
		"/usr/bin/newuidmap": "", "/usr/local/bin/newgidmap": "",
	})
	p := planOf(t, h)
	if p.Method != OneID || !strings.HasPrefix(p.Why, h.root+"/usr/bin/newuidmap: ") {
		t.Errorf("%s, %q", p.Method, p.Why)
	}
}

func TestNoticeIsDueOncePerDay(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "rootlet")
	one, root := &Plan{Method: OneID, Why: "x"}, &Plan{Method: Root, Why: "y"}
	day := time.Date(2026, 11, 20, 23, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name string
		plan *Plan
		now  time.Time
		want bool
	}{
		{"the best plan", &Plan{Method: NewIDMap}, day, false},
		{"first", one, day, true},
		{"again", one, day.Add(time.Minute), false},
		{"another kind", root, day.Add(time.Minute), true},
		{"the next day", one, day.Add(2 * time.Hour), true},
		{"the clock was set back", one, day, true},
	} {
		if got := c.plan.NoticeDue(dir, c.now); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	info, err := os.Stat(filepath.Join(dir, "notice-one-id"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("stamp: %v, %v", info, err)
	}
	if !one.NoticeDue("/dev/null/nowhere", day) {
		t.Error("a notice that cannot be remembered must be shown")
	}
}
