package cgroup

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rootlet/sandbox/record"
)

const (
	v2Mount = "31 23 0:28 / /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
	v1Mount = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n" +
		"32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n" +
		"33 31 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n" +
		"34 31 0:31 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n" +
		"35 31 0:32 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n" +
		"36 31 0:33 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
	v1Self = "7:cpu,cpuacct:/me\n6:memory:/me\n5:freezer:/me\n4:cpuset:/me\n3:pids:/me\n2:name=systemd:/me\n"
)

// tree makes a host out of files; what ends in a slash is a directory.
func tree(t *testing.T, mounts, self string, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	all := map[string]string{"proc/self/mountinfo": mounts, "proc/self/cgroup": self}
	for name, text := range files {
		all["sys/fs/cgroup/"+name] = text
	}
	for name, text := range all {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(path, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// group are the files of a group of version 2.
func group(dir, controllers string) map[string]string {
	return map[string]string{dir + "/cgroup.controllers": controllers, dir + "/cgroup.procs": "", dir + "/cgroup.subtree_control": ""}
}

func together(all ...map[string]string) map[string]string {
	sum := map[string]string{}
	for _, one := range all {
		for name, text := range one {
			sum[name] = text
		}
	}
	return sum
}

var noBus = User{UID: 1, Bus: "unix:path=/nonexistent/bus"}

func TestFind(t *testing.T) {
	limits := record.Limits{Memory: 1 << 30, NanoCPUs: 1e9}
	for name, test := range map[string]struct {
		mounts, self string
		files        map[string]string
		parent       string
		dir          string // of version 2, below /sys/fs/cgroup
		controllers  string // of version 1
		why, err     string // parts of them
	}{
		"the group around ours": {
			v2Mount, "0::/me/shell\n", together(group(".", "cpu memory"), group("me", "cpu memory pids"), group("me/shell", "cpu")), "",
			"me", "", "no scope of your systemd's", "",
		},
		"ours, in a namespace that shows no more": {
			v2Mount, "0::/\n", group(".", "cpu memory"), "", ".", "", "no scope", "",
		},
		"in no group that is mounted": {
			"31 23 0:28 /docker/a /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/docker/b\n", group(".", "memory"), "", "", "", "in no cgroup", "",
		},
		"outside of the namespace": {v2Mount, "0::/../b\n", group(".", "memory"), "", ".", "", "no scope", ""},
		"one that is named": {
			v2Mount, "0::/me\n", together(group(".", "memory"), group("other/place", "memory")), "other/place", "other/place", "", "", "",
		},
		"named by its directory":      {v2Mount, "0::/me\n", group("other", "memory"), "/sys/fs/cgroup/other", "", "", "", "--cgroup-parent /sys/fs/cgroup/other"},
		"named, and not there":        {v2Mount, "0::/me\n", group("me", "memory"), "/none", "", "", "", "--cgroup-parent /none: write to"},
		"named, as a slice":           {v2Mount, "0::/me\n", group("me", "memory"), "work.slice", "", "", "", "a scope in it"},
		"version 1":                   {v1Mount, v1Self, map[string]string{"cpu,cpuacct/me/": "", "memory/me/": "", "pids/me/": ""}, "", "", "cpu cpuacct memory pids", "", ""},
		"version 1, named":            {v1Mount, v1Self, map[string]string{"cpu,cpuacct/other/": "", "memory/other/": ""}, "/other", "", "cpu cpuacct memory", "", ""},
		"version 1, named, not there": {v1Mount, v1Self, map[string]string{"memory/me/": ""}, "/other", "", "", "", "no such control group"},
		"version 1, none there":       {v1Mount, v1Self, map[string]string{"memory/": ""}, "", "", "", "no such file", ""},
		"version 1 with an empty 2": {
			v1Mount + "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n", v1Self + "0::/\n",
			together(group("unified", "hugetlb"), map[string]string{"memory/me/": ""}), "", "", "memory", "", "",
		},
		"no groups": {"", "", nil, "", "", "", "no control groups are mounted", ""},
	} {
		t.Run(name, func(t *testing.T) {
			root := tree(t, test.mounts, test.self, test.files)
			p, err := Find(root, Wish{Limits: limits, Parent: test.parent, User: noBus})
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("%+v, %v; want %s", p, err, test.err)
				}
				return
			}
			want := ""
			if test.dir != "" {
				want = filepath.Join(root, "sys/fs/cgroup", test.dir)
			}
			var got []string
			for controller := range p.Dirs {
				got = append(got, controller)
			}
			slices.Sort(got)
			if err != nil || p.Dir != want || strings.Join(got, " ") != test.controllers || !strings.Contains(p.Why, test.why) {
				t.Fatalf("%+v, %v", p, err)
			}
			if p.Dir == "" {
				return
			}
			if passed := words(p.Dir, "cgroup.subtree_control"); len(passed) == 0 || passed[0][0] != '+' {
				t.Errorf("passes on %q", passed)
			}
		})
	}
}

func TestProbe(t *testing.T) {
	for name, test := range map[string]struct {
		mounts, self             string
		files                    map[string]string
		way, version, has, wants string
	}{
		"delegated": {v2Mount, "0::/me\n", together(group(".", "cpu"), group("me", "cpu memory misc pids")), WayUnified, "2", "cpu memory pids", "no scope"},
		"hybrid": {
			v1Mount + "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n", v1Self, together(group("unified", ""), map[string]string{"memory/me/": ""}),
			WayLegacy, "1", "memory", "version 1",
		},
		"old": {v1Mount, v1Self, nil, "", "1", "", "no such file"},
	} {
		f := Probe(tree(t, test.mounts, test.self, test.files), noBus)
		if f.Way != test.way || f.Version != test.version || strings.Join(f.Controllers, " ") != test.has || !strings.Contains(f.Why, test.wants) {
			t.Errorf("%s: %+v", name, f)
		}
	}
}
