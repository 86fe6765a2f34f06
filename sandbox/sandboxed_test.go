package sandbox

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"rootlet/internal/testenv"
	"rootlet/sandbox/record"
	"rootlet/sandbox/rootfs"
	"rootlet/userns"
)

func sandboxOf(mounts ...record.Mount) *record.Spec {
	s := &record.Spec{Network: "auto", Mounts: mounts, CapDrop: []string{"KILL"}}
	Sandboxed(s)
	return s
}

func TestSandboxed(t *testing.T) {
	s := sandboxOf(
		record.Mount{Type: record.Bind, Source: "/h", Target: "/var/tmp/"},
		record.Mount{Type: record.Tmpfs, Target: "/tmp", Size: 1 << 30},
		record.Mount{Type: record.Tmpfs, Target: "/srv"},
	)
	if caps, err := chooseCaps(s.CapAdd, s.CapDrop); err != nil || caps != 0 {
		t.Errorf("capabilities %v, %v", caps, err)
	}
	if !s.Sandbox || !s.ReadOnly || !s.NoNewPrivileges || s.Network != "none" || s.Seccomp.Profile != record.Sandboxed {
		t.Errorf("%+v", s)
	}
	var mounts []string
	for _, m := range s.Mounts {
		mounts = append(mounts, m.Type+" "+m.Target)
	}
	if want := []string{"bind /var/tmp/", "tmpfs /tmp", "tmpfs /srv", "tmpfs /run"}; !slices.Equal(mounts, want) {
		t.Errorf("mounts %q, want %q", mounts, want)
	}
	if s.Mounts[1].Size != 1<<30 || s.Mounts[2].Size != smallSize {
		t.Errorf("sizes: %+v", s.Mounts)
	}
}

func TestASandboxWithAListHasANetwork(t *testing.T) {
	s := &record.Spec{Network: "auto", Egress: []string{"public"}}
	if Sandboxed(s); s.Network != "auto" {
		t.Errorf("network %s", s.Network)
	}
}

func TestLimits(t *testing.T) {
	plain := &record.Spec{Ulimits: []record.Ulimit{{Name: "nofile", Soft: 5, Hard: 6}}}
	if got := Limits(plain); !slices.Equal(got, plain.Ulimits) {
		t.Errorf("no sandbox: %+v", got)
	}
	plain.Sandbox = true
	var names []string
	for _, u := range Limits(plain) {
		names = append(names, u.Name)
		var now unix.Rlimit
		if err := unix.Getrlimit(ulimits[u.Name], &now); err != nil || uint64(u.Hard) > now.Max || u.Soft > u.Hard {
			t.Errorf("%+v of %+v, %v", u, now, err)
		}
	}
	if want := []string{"core", "memlock", "nproc", "sigpending", "nofile"}; !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
}

// A home that an image keeps something in stays as it is.
func TestNothingToHide(t *testing.T) {
	dir := t.TempDir()
	for _, file := range []string{"root/.profile", "home/app/main.py", "home/tools/.local/bin/tool", "home/bare/", "file"} {
		path := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, "/") {
			if err := os.Mkdir(path, 0o755); err != nil {
				t.Fatal(err)
			}
		} else if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	root, err := rootfs.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for home, want := range map[string]bool{
		"/root": true, "/home/bare": true, "/home/app": false, "/home/tools": false, "/home": false, "/": false, "/proc": false, "/dev/x": false,
		"/file": false, "/nonexistent": false,
	} {
		if got, err := nothingToHide(root, home); err != nil || got != want {
			t.Errorf("%s: %t, %v", home, got, err)
		}
	}
}

func TestASandboxHasTheCallersIDOnlyIfThereIsNoOther(t *testing.T) {
	caller := []userns.Extent{{ContainerID: 0, HostID: 1000, Size: 1}}
	more := append(slices.Clone(caller), userns.Extent{ContainerID: 1, HostID: 100000, Size: 65536})
	s := &record.Spec{Sandbox: true}
	if uids, gids := mapsFor(s, more, more, 1000, 1000); uids.hasCaller() || gids.hasCaller() || len(uids) == 0 {
		t.Errorf("with others: %v, %v", uids, gids)
	}
	if uids, gids := mapsFor(s, caller, caller, 1000, 1000); !uids.hasCaller() || !gids.hasCaller() {
		t.Errorf("without: %v, %v", uids, gids)
	}
	s.UserNS.Mode = record.NoMap
	if uids, _ := mapsFor(s, caller, caller, 1000, 1000); len(uids) > 0 {
		t.Errorf("insisting: %v", uids)
	}
}

func TestChecklistOfASandbox(t *testing.T) {
	f := example()
	f.sandbox, f.noNewPrivileges, f.caps = true, true, 0
	f.ruleset = rulesetFor(sandboxOf(), 7)
	plan := f.checklist().Plan()
	testenv.Golden(t, "checklist-sandbox.golden", plan)
	order(t, plan, "wait for the id maps", "set user/max_user_namespaces", "pivot_root", "close all descriptors", "set the user", "set capabilities",
		"set no_new_privs", landlockStep, filterStep+"\n"+execStep+"\n")
	j := exampleJoiner()
	j.noNewPrivileges, j.ruleset = true, f.ruleset
	order(t, j.checklist().Plan(), "close all descriptors", "set no_new_privs", landlockStep, filterStep+"\n"+execStep+"\n")
}

// A kernel refuses rights that it does not know (landlock_create_ruleset(2)).
func TestRulesetsGoByTheKernel(t *testing.T) {
	s := sandboxOf(record.Mount{Type: record.Bind, Source: "/h", Target: "/ro", ReadOnly: true}, record.Mount{Type: record.Bind, Source: "/h", Target: "/rw"})
	known := map[int]uint64{2: 1<<14 - 1, 3: 1<<15 - 1, 4: 1<<15 - 1, 5: 1<<16 - 1, 7: 1<<16 - 1}
	for version, all := range known {
		r := rulesetFor(s, version)
		if r.handled != all {
			t.Errorf("version %d: %#x, want %#x", version, r.handled, all)
		}
		writable := map[string]bool{}
		for _, rule := range r.rules {
			if rule.access&^r.handled != 0 || rule.access&mayMakeDevices != 0 || rule.access == 0 {
				t.Errorf("version %d: %+v", version, rule)
			}
			writable[rule.path] = writable[rule.path] || rule.access&mayChange != 0
		}
		for path, want := range map[string]bool{"/": false, "/proc": false, "/dev": false, "/ro": false, "/rw": true, "/tmp": true, "/dev/shm": true} {
			if writable[path] != want {
				t.Errorf("version %d: %s can be written: %t", version, path, writable[path])
			}
		}
	}
	if rulesetFor(s, 0) != nil || rulesetFor(&record.Spec{}, 7) != nil {
		t.Error("a ruleset where there is to be none")
	}
}
