package doctor

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/fuseoverlay"
	"rootlet/fuseoverlay/fsprobe"
	"rootlet/internal/distro"
	"rootlet/internal/need"
	"rootlet/internal/testenv"
	"rootlet/userns"
)

// osReleases are as distributions have them, a line of interest each.
var osReleases = map[distro.Family]string{
	distro.Debian: "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\nVERSION_ID=\"12\"\n",
	distro.Ubuntu: "PRETTY_NAME=\"Ubuntu 24.04 LTS\"\nID=ubuntu\nID_LIKE=debian\nVERSION_ID=\"24.04\"\n",
	distro.Fedora: "PRETTY_NAME=\"Fedora Linux 40\"\nID=fedora\nVERSION_ID=40\n",
	distro.RHEL:   "PRETTY_NAME=\"Rocky Linux 9.4\"\nID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID=\"9.4\"\n",
	distro.SUSE:   "PRETTY_NAME=\"openSUSE Leap 15.6\"\nID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\n",
	distro.Arch:   "PRETTY_NAME=\"Arch Linux\"\nID=arch\n",
	distro.Alpine: "PRETTY_NAME=\"Alpine Linux v3.20\"\nID=alpine\n",
	distro.Other:  "PRETTY_NAME=\"Homemade\"\nID=homemade\n",
}

// everything has all that rootlet can use, and ann for its user.
func everything(t *testing.T, family distro.Family) Host {
	t.Helper()
	h := Host{
		Root: t.TempDir(), UID: os.Getuid(), User: "ann", Shell: 4711, Kernel: "6.1.0-18-amd64",
		Namespaces: Namespaces{Allowed: true},
		Plan:       &userns.Plan{Method: userns.NewIDMap, UIDs: ids(65537), GIDs: ids(65537)},
		Driver:     fuseoverlay.Choice{Driver: fuseoverlay.Native},
		Network:    Network{Driver: "slirp4netns", Version: "1.2.0"},
		Cgroup:     Cgroup{Version: "2", By: "cgroup v2", Controllers: []string{"cpu", "memory", "pids"}},
		Data:       "/home/ann/.local/share/rootlet", Disk: Disk{FS: "ext4", Free: 50 << 30, Total: 100 << 30},
		RuntimeDir: "/home/ann/.local/share/rootlet/run",
		Systemd:    true, Bus: true, Lingers: true, Seccomp: true, Landlock: 2,
		Start: Start{First: 12300 * time.Microsecond, InAll: 20 * time.Millisecond},
	}
	h.write(t, "etc/os-release", osReleases[family])
	h.write(t, "proc/sys/user/max_user_namespaces", "63432\n")
	h.write(t, "dev/fuse", "")
	h.Distro = distro.Read(h.Root)
	h.XDGRuntimeDir = filepath.Join(h.Root, "own")
	if err := os.Mkdir(h.XDGRuntimeDir, 0o700); err != nil {
		t.Fatal(err)
	}
	return h
}

func ids(n uint32) []userns.Extent { return []userns.Extent{{HostID: 1000, Size: n}} }

func (h Host) write(t *testing.T, path, text string) {
	t.Helper()
	path = filepath.Join(h.Root, path)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// conditions are what a host can be like, and the needs that it then has.
var conditions = []struct {
	name   string
	needs  []string // that are not OK
	change func(t *testing.T, h *Host)
}{
	{"no user namespaces", []string{need.UserNamespaces}, func(_ *testing.T, h *Host) {
		h.forbid(userns.Forbidden{Setting: "user.max_user_namespaces", Value: "0", Fix: "sysctl -w user.max_user_namespaces=28633"})
	}},
	{"Debian's switch", []string{need.UserNamespaces}, func(_ *testing.T, h *Host) {
		h.forbid(userns.Forbidden{Setting: "kernel.unprivileged_userns_clone", Value: "0", Fix: "sysctl -w kernel.unprivileged_userns_clone=1"})
	}},
	{"AppArmor's restriction", []string{need.UserNamespaces}, func(t *testing.T, h *Host) {
		h.write(t, "sys/module/apparmor/parameters/enabled", "Y\n")
		h.write(t, "proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n")
		h.forbid(userns.Forbidden{Setting: "kernel.apparmor_restrict_unprivileged_userns", Value: "1", Fix: `printf 'abi <abi/4.0>,\nprofile rootlet /home/ann/rootlet flags=(unconfined) { userns, }\n' > /etc/apparmor.d/rootlet && apparmor_parser -r /etc/apparmor.d/rootlet`})
	}},
	{"inside Podman", []string{need.UserNamespaces}, func(t *testing.T, h *Host) {
		h.write(t, "run/.containerenv", "")
		h.Namespaces.Level = []string{"bound-proc", "bound-sys", "host-uts"}
	}},
	{"inside Docker", []string{need.UserNamespaces}, func(t *testing.T, h *Host) {
		h.write(t, ".dockerenv", "")
		h.Namespaces.Level = []string{"bound-proc"}
	}},
	{"no pid namespaces", []string{need.UserNamespaces}, func(t *testing.T, h *Host) {
		h.write(t, "proc/sys/user/max_pid_namespaces", "0\n")
		h.Namespaces.Level = []string{"host-pid", "root-emulation"}
	}},
	{"no subordinate ids, no newuidmap", []string{need.IDs}, func(_ *testing.T, h *Host) {
		fix := append(h.Distro.GiveIDs("ann", 100000, 65536, true, true), h.Distro.Install(distro.Newuidmap))
		h.Plan = &userns.Plan{Method: userns.OneID, UIDs: ids(1), GIDs: ids(1), Why: "ann has no subordinate uids in /etc/subuid", Fix: fix}
	}},
	{"few subordinate gids", []string{need.IDs}, func(_ *testing.T, h *Host) {
		h.Plan = &userns.Plan{Method: userns.NewIDMap, UIDs: ids(65537), GIDs: ids(11), Why: "ann has 65537 uids and 11 gids", Fix: h.Distro.GiveIDs("ann", 165536, 65536, false, true)}
	}},
	{"a bad line", []string{need.UserNamespaces, need.IDs, need.RootFilesystem}, func(_ *testing.T, h *Host) {
		h.Plan, h.PlanErr = nil, &userns.TableError{File: "/etc/subuid", Line: 3, Text: "ann:1", Reason: "not of the form NAME:FIRST:COUNT"}
		h.Namespaces, h.Driver = Namespaces{}, fuseoverlay.Choice{}
		h.Start = Start{Err: h.PlanErr.Error()}
	}},
	{"shared ids", []string{need.IDs}, func(_ *testing.T, h *Host) { h.Plan.Warnings = []string{"bob has them too"} }},
	{"root", []string{need.IDs}, func(_ *testing.T, h *Host) {
		h.Plan = &userns.Plan{Method: userns.Root, UIDs: ids(65536), GIDs: ids(65536), Why: "root runs rootlet", Fix: []string{"su - USER"}}
	}},
	{"an old kernel", []string{need.RootFilesystem, need.Kernel}, func(_ *testing.T, h *Host) {
		h.Kernel = "5.10.0-28-amd64"
		h.Driver = fuseoverlay.Choice{Driver: fuseoverlay.FuseOverlayfs, RuledOut: []fuseoverlay.RuledOut{{Driver: fuseoverlay.Native, Why: "mount overlay: operation not permitted"}}}
	}},
	{"an older kernel", []string{need.Kernel}, func(_ *testing.T, h *Host) { h.Kernel = "5.12.1" }},
	{"an ancient kernel", []string{need.Kernel}, func(_ *testing.T, h *Host) { h.Kernel = "4.14.0" }},
	{"a filter older than openat2", []string{need.Kernel}, func(_ *testing.T, h *Host) {
		h.RefusedCalls = []error{fmt.Errorf("openat2: %w", unix.EPERM), fmt.Errorf("pidfd_open: %w", unix.EPERM)}
	}},
	{"a kernel without openat2", []string{need.Kernel}, func(_ *testing.T, h *Host) {
		h.Kernel, h.RefusedCalls = "5.4.0", []error{fmt.Errorf("openat2: %w", unix.ENOSYS)}
	}},
	{"a kernel of no number", []string{need.Kernel}, func(_ *testing.T, h *Host) { h.Kernel = "custom" }},
	{"no fuse", []string{need.RootFilesystem}, func(t *testing.T, h *Host) {
		if err := os.Remove(filepath.Join(h.Root, fuseDevice)); err != nil {
			t.Fatal(err)
		}
		h.Driver = fuseoverlay.Choice{Driver: fuseoverlay.Copy, RuledOut: []fuseoverlay.RuledOut{{Driver: fuseoverlay.Native, Why: "no xattrs"}, {Driver: fuseoverlay.FuseOverlayfs, Why: "fuse-overlayfs is not installed"}}}
	}},
	{"the storage driver asked for fails", []string{need.RootFilesystem}, func(_ *testing.T, h *Host) {
		h.Driver = fuseoverlay.Choice{Driver: fuseoverlay.Native, Forced: true, RuledOut: []fuseoverlay.RuledOut{{Driver: fuseoverlay.Native, Why: "no xattrs"}}}
		h.Start = Start{Err: "storage driver native does not work here: no xattrs"}
	}},
	{"a lesser storage driver asked for", []string{need.RootFilesystem}, func(_ *testing.T, h *Host) {
		h.Driver = fuseoverlay.Choice{Driver: fuseoverlay.Copy, Forced: true}
	}},
	{"no /dev/net/tun", []string{need.Network}, func(_ *testing.T, h *Host) {
		h.Network = Network{Driver: "none", None: true, Why: "open /dev/net/tun: no such file or directory", Fix: "as root: modprobe tun; in a container, give it the device /dev/net/tun"}
	}},
	{"no slirp4netns", []string{need.Network}, func(_ *testing.T, h *Host) {
		h.Network = Network{Driver: "builtin", Version: "in this binary", Why: "slirp4netns is not installed", Fix: h.Distro.Install(distro.Slirp4netns)}
	}},
	{"cgroups of version 1", []string{need.Limits}, func(_ *testing.T, h *Host) {
		h.Cgroup = Cgroup{Version: "1", Why: "this host has cgroups of version 1 only"}
	}},
	{"directories of version 1", []string{need.Limits}, func(_ *testing.T, h *Host) {
		h.Cgroup = Cgroup{Version: "1", By: "cgroup v1", Legacy: true, Controllers: []string{"cpu", "freezer", "memory", "pids"}, Why: "this host mounts the controllers as cgroups of version 1"}
	}},
	{"no delegation", []string{need.Limits}, func(_ *testing.T, h *Host) { h.Cgroup = Cgroup{Version: "2", Why: "permission denied"} }},
	{"no delegation and no bus", []string{need.Limits}, func(_ *testing.T, h *Host) { h.Cgroup, h.Bus = Cgroup{Version: "2", Why: "permission denied"}, false }},
	{"no delegation and no systemd", []string{need.Limits}, func(_ *testing.T, h *Host) {
		h.Cgroup, h.Bus, h.Systemd = Cgroup{Version: "2", Why: "permission denied"}, false, false
	}},
	{"no cpu controller", []string{need.Limits}, func(_ *testing.T, h *Host) { h.Cgroup.Controllers = []string{"memory", "pids"} }},
	{"no HOME", []string{need.Storage, need.RuntimeDirectory}, func(_ *testing.T, h *Host) {
		h.DataErr, h.Data, h.RuntimeDir, h.XDGRuntimeDir = errors.New("where to keep images is unknown"), "", "", ""
		h.Start = Start{Err: h.DataErr.Error()}
	}},
	{"HOME not set", []string{need.UserNamespaces, need.RootFilesystem, need.Storage}, func(_ *testing.T, h *Host) {
		h.DataErr, h.Home, h.Namespaces, h.Driver = errors.New("where to keep images is unknown"), "/home/ann", Namespaces{}, fuseoverlay.Choice{}
	}},
	{"a store that does not open", []string{need.RootFilesystem}, func(_ *testing.T, h *Host) {
		h.Driver, h.DriverErr = fuseoverlay.Choice{}, errors.New("storage.lock: read-only file system")
	}},
	{"a home on NFS", []string{need.Storage}, func(_ *testing.T, h *Host) {
		h.Disk.FS, h.Disk.Layers, h.Disk.LayersFS = "nfs", "/var/tmp/rootlet-1000/0123456789ab", "ext4"
		h.Disk.Faults = []fsprobe.Fault{{Feature: fsprobe.Xattrs, Why: "setxattr: operation not supported", Layers: true}, {Feature: fsprobe.Owners, Why: "chown: operation not permitted", Layers: true}}
	}},
	{"an encrypted home", []string{need.Storage}, func(_ *testing.T, h *Host) {
		h.Disk.FS, h.Disk.Faults = "ecryptfs", []fsprobe.Fault{{Feature: fsprobe.Long, Why: "open: file name too long", Layers: true}}
	}},
	{"layers elsewhere by request", []string{need.Storage}, func(_ *testing.T, h *Host) {
		h.Disk.Layers, h.Disk.LayersFS = "/scratch/rootlet-1000/0123456789ab", "xfs"
	}},
	{"a noexec home", []string{need.Storage}, func(_ *testing.T, h *Host) { h.Disk.NoExec = true }},
	{"a read-only home", []string{need.Storage}, func(_ *testing.T, h *Host) { h.Disk.ReadOnly = true }},
	{"a full home", []string{need.Storage}, func(_ *testing.T, h *Host) { h.Disk.Free = 3 << 30 }},
	{"a small and full home", []string{need.Storage}, func(_ *testing.T, h *Host) { h.Disk.Free, h.Disk.Total = 1<<29, 1<<30 }},
	{"no XDG_RUNTIME_DIR", []string{need.RuntimeDirectory}, func(_ *testing.T, h *Host) { h.XDGRuntimeDir = "" }},
	{"no XDG_RUNTIME_DIR and no systemd", []string{need.RuntimeDirectory}, func(_ *testing.T, h *Host) { h.XDGRuntimeDir, h.Systemd = "", false }},
	{"XDG_RUNTIME_DIR not set but there", []string{need.RuntimeDirectory}, func(t *testing.T, h *Host) {
		h.XDGRuntimeDir = ""
		if err := os.MkdirAll(filepath.Join(h.Root, fmt.Sprintf("run/user/%d", h.UID)), 0o700); err != nil {
			t.Fatal(err)
		}
	}},
	{"a loose XDG_RUNTIME_DIR", []string{need.RuntimeDirectory}, func(t *testing.T, h *Host) {
		if err := os.Chmod(h.XDGRuntimeDir, 0o755); err != nil {
			t.Fatal(err)
		}
	}},
	{"somebody else's XDG_RUNTIME_DIR", []string{need.RuntimeDirectory}, func(_ *testing.T, h *Host) { h.UID++ }},
	{"no lingering", []string{need.Lingering}, func(_ *testing.T, h *Host) { h.Lingers = false }},
	{"no seccomp", []string{need.SecurityModules}, func(_ *testing.T, h *Host) { h.Seccomp = false }},
	{"no Landlock", []string{need.SecurityModules}, func(t *testing.T, h *Host) {
		h.Landlock, h.LandlockWhy = 0, "landlock_create_ruleset: operation not supported"
		h.write(t, "sys/kernel/security/lsm", "lockdown,capability,yama,apparmor")
	}},
	{"SELinux, and nothing runs", []string{need.TimeToStart}, func(t *testing.T, h *Host) {
		h.write(t, "sys/fs/selinux/enforce", "1")
		h.Start = Start{Err: "mount proc: permission denied"}
	}},
	{"SELinux, permissive", nil, func(t *testing.T, h *Host) { h.write(t, "sys/fs/selinux/enforce", "0") }},
}

func (h *Host) forbid(f userns.Forbidden) {
	f.Err = unix.EPERM
	h.Namespaces = Namespaces{Setting: f.Setting, Error: f.Error(), Fix: f.Fix}
}

// plain is text without what differs from machine to machine.
func plain(h Host, text string) string {
	return strings.NewReplacer(h.Root, "", fmt.Sprintf("/run/user/%d", h.UID), "/run/user/UID", fmt.Sprintf("user %d", h.UID-1), "user OTHER").Replace(text)
}

// Every condition is told by the lines of the needs that it is about, and by no
// other.
func TestConditions(t *testing.T) {
	var all strings.Builder
	for _, c := range conditions {
		h := everything(t, distro.Debian)
		c.change(t, &h)
		fmt.Fprintf(&all, "# %s\n", c.name)
		var shown, lacking []Need
		for _, n := range Check(h) {
			if n.Status != OK {
				lacking = append(lacking, n)
			}
			if n.Status != OK || n.Name == need.SecurityModules && strings.Contains(n.Now, "SELinux") {
				shown = append(shown, n)
			}
		}
		all.WriteString(plain(h, Text(shown)) + "\n")
		for _, n := range lacking {
			if !slices.Contains(c.needs, n.Name) && n.Name != need.TimeToStart {
				t.Errorf("%s: %s is %s", c.name, n.Name, n.Status)
			}
			if n.Why == "" || n.Now == "" {
				t.Errorf("%s: %+v: not said what is, or why", c.name, n)
			}
		}
		for _, name := range c.needs {
			if !slices.ContainsFunc(lacking, func(n Need) bool { return n.Name == name }) {
				t.Errorf("%s: nothing said of %s", c.name, name)
			}
		}
	}
	testenv.Golden(t, "conditions.golden", all.String())
}

// The lines of every condition on each distribution: first those that all have.
func TestDistributions(t *testing.T) {
	byFamily := map[distro.Family][]string{}
	times := map[string]int{}
	families := []distro.Family{distro.Debian, distro.Ubuntu, distro.Fedora, distro.RHEL, distro.SUSE, distro.Arch, distro.Alpine, distro.Other}
	for _, family := range families {
		if h := everything(t, family); h.Distro.Family != family {
			t.Errorf("%q is taken for %q", osReleases[family], h.Distro.Family)
		}
		var lines []string
		for _, c := range conditions {
			h := everything(t, family)
			c.change(t, &h)
			for _, n := range Check(h) {
				for _, line := range n.Fix.Admin {
					if line = n.Name + ": " + plain(h, line); !slices.Contains(lines, line) {
						lines = append(lines, line)
					}
				}
			}
		}
		slices.Sort(lines)
		byFamily[family] = lines
		for _, line := range lines {
			times[line]++
		}
	}
	var all strings.Builder
	block := func(name string, lines []string, shared bool) {
		fmt.Fprintf(&all, "## %s\n", name)
		for _, line := range lines {
			if (times[line] == len(families)) == shared {
				all.WriteString(line + "\n")
			}
		}
	}
	block("every", byFamily[distro.Debian], true)
	for _, family := range families {
		block(cmp.Or(string(family), "any other"), byFamily[family], false)
	}
	testenv.Golden(t, "distributions.golden", all.String())
}

// Where all is well it is one screen, and nothing to do.
func TestAllIsWell(t *testing.T) {
	h := everything(t, distro.Debian)
	needs := Check(h)
	text := plain(h, Text(needs))
	testenv.Golden(t, "well.golden", text)
	for line := range strings.Lines(text) {
		if len(line) > 101 {
			t.Errorf("%d bytes: %s", len(line), line)
		}
	}
	if Left(needs) != "" || strings.Count(text, "\n") != 11 || !h.Works() {
		t.Error(Left(needs))
	}
	document, err := json.Marshal(needs[0])
	if want := `{"name":"user namespaces","status":"ok","now":"allowed, 63432 of them","fix":{"admin":[],"user":[]}}`; err != nil || string(document) != want {
		t.Errorf("%s, %v", document, err)
	}
}

// What --fix runs is also among the lines to type.
func TestOwnLinesAreShown(t *testing.T) {
	found := 0
	for _, c := range conditions {
		h := everything(t, distro.Debian)
		c.change(t, &h)
		for _, n := range Check(h) {
			for _, words := range n.Fix.Own {
				found++
				if !slices.Contains(n.Fix.User, strings.Join(words, " ")) {
					t.Errorf("%s: %q is run unseen", c.name, words)
				}
			}
		}
	}
	if found != 2 {
		t.Errorf("%d lines", found)
	}
}

func TestRuntimeDirOfNoUse(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{"": "not set", "run": "no absolute path", file + "x": "no such file", file: "no directory"} {
		if err := RuntimeDir(dir, os.Getuid()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", dir, err, want)
		}
	}
}
