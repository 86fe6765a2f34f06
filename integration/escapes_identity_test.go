package integration

import (
	"archive/tar"
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"rootlet/internal/testenv"
)

// Who a process is inside, what it may, and what it is told of the host.

func identityEscapes() []escape {
	fifo := entry{tar.Header{Typeflag: tar.TypeFifo, Name: "etc/passwd", Mode: 0o644}, ""}
	return []escape{
		{"11", "CVE-2022-29162", "inheritable and ambient capabilities of `run` and `exec`, with more of them, and privileged", "none", 0, func(s *escapeStage) {
			const sum = `grep -E "Cap(Inh|Amb)" /proc/self/status | sort -u | tr -d "\n\t"`
			const none = "CapAmb:0{16}CapInh:0{16}"
			s.prints(none, run(s.image, "sh", "-c", sum)...)
			s.prints(none, run("--cap-add", "ALL", s.image, "sh", "-c", sum)...)
			s.up("box")
			s.prints(none, "exec", "box", "sh", "-c", sum)
			s.prints(none, "exec", "--privileged", "box", "sh", "-c", sum)
			if testenv.Kind() != testenv.WithoutSubIDs {
				s.prints(none, run("--cap-add", "ALL", "-u", "alice", s.image, "sh", "-c", sum)...)
				s.prints(none, "exec", "-u", "alice", "--privileged", "box", "sh", "-c", sum)
			}
		}},
		{"12", "CVE-2022-2989", "supplementary groups of the host's user, in `run` and `exec`", "the image's alone, where there are other ids", 0, func(s *escapeStage) {
			s.up("box")
			if testenv.Kind() == testenv.WithoutSubIDs {
				s.prints("0( 65534)*", run(s.image, "id", "-G")...)
				return
			}
			s.prints("1000 2000", run("-u", "alice", s.image, "id", "-G")...)
			s.prints("1000 2000", "exec", "-u", "alice", "box", "id", "-G")
			s.prints("7", "exec", "-u", "7:7", "box", "id", "-G")
		}},
		{"14", "CVE-2024-9676", "an image whose /etc/passwd is a FIFO or /dev/zero", "refused at once", 0, func(s *escapeStage) {
			s.refused("/etc/passwd", run(s.build(v1.Config{User: "alice"}, fifo), "true")...)
			s.refused("alice", run(s.build(v1.Config{User: "alice"}, symlink("etc/passwd", "/dev/zero")), "true")...)
		}},
		{"14", "CVE-2024-9676", "/etc/passwd made a FIFO, /dev/zero, a file of 2 GiB or another's memory before `exec -u`", "refused at once", 0, func(s *escapeStage) {
			s.up("box", "--cap-add", "ALL")
			for _, make := range []string{"mkfifo /etc/passwd", "ln -s /dev/zero /etc/passwd", "dd if=/dev/zero of=/etc/passwd bs=1 count=0 seek=2G", "ln -s /proc/1/mem /etc/passwd", "mkdir /etc/passwd"} {
				s.rootlet("exec", "box", "sh", "-c", "rm -rf /etc/passwd; "+make+" 2>/dev/null")
				s.refused("", "exec", "-u", "alice", "box", "true")
			}
		}},
		{"14", "CVE-2024-40635", "users 4294967296, -1 and 4294967295, of an image and of `exec`", "refused", 0, func(s *escapeStage) {
			s.up("box")
			for _, user := range []string{"4294967296", "-1", "4294967295", "0:4294967296"} {
				s.refused("ids are from 0", run(s.build(v1.Config{User: user}), "true")...)
				s.refused("ids are from 0", "exec", "-u", user, "box", "true")
			}
		}},
		{"14", "CVE-2016-3697", "a user whose name is a number and whose uid is another", "the number is the uid", 0, func(s *escapeStage) {
			image := s.build(v1.Config{User: "1000"}, file("etc/passwd", 0o644, "1000:x:0:0::/:/bin/sh\n"))
			id := "1000|0"
			if testenv.Kind() == testenv.WithoutSubIDs {
				id = "1000" // by root emulation
			}
			s.prints(id, run(image, "id", "-u")...)
		}},
		{"33", "", "/etc/passwd and /etc/group flipped with links to the outside during `exec -u`", "read inside, or refused", rounds, func(s *escapeStage) {
			plain := s.image
			defer func() { s.image = plain }()
			s.image = s.build(v1.Config{}, symlink("etc/passwd.l", s.victim()+"/hello"), symlink("etc/group.l", strings.Repeat("../", 12)+s.victim()+"/dir"))
			s.besieged(nil, []string{"flip", "/etc/passwd", "/etc/passwd.l", "/etc/group", "/etc/group.l"}, func(round int) {
				stdout, stderr, code := s.try("exec", "-u", "root", "attacker", "id", "-u")
				if code == 0 && stdout != "0\n" || code != 0 && code != 126 {
					s.t.Errorf("round %d: exit code %d: %s%s", round, code, stdout, stderr)
				}
			})
		}},
	}
}

func settingEscapes() []escape {
	return []escape{
		{"15", "CVE-2026-57231", "an image's variables `SECRET`, `*`, `S*`, `=x`, which ask for the host's", "not there", 0, func(s *escapeStage) {
			image := s.build(v1.Config{Env: []string{"SECRET", "*", "S*", "=x"}})
			s.try(run(image, "env")...) // which looks for the secret
			s.prints("0", run(image, "sh", "-c", "env | grep -c SECRET || true")...)
		}},
		{"15", "CVE-2021-3602", "variables of the user's own in `exec`, and of process 1 under `--init`", "not there", 0, func(s *escapeStage) {
			s.up("box", "--init", "--cap-add", "ALL")
			s.prints("0", "exec", "box", "sh", "-c", "env | grep -c SECRET || true")
			s.prints("0", "exec", "--privileged", "box", "sh", "-c", "cat /proc/[0-9]*/environ | grep -c SECRET || true")
		}},
		{"16", "", "line ends and control characters in `--hostname`, `--add-host`, `--name`", "refused", 0, func(s *escapeStage) {
			for _, flags := range [][]string{
				{"--hostname", "a\n1.2.3.4 github.com"},
				{"--add-host", "x:1.2.3.4\n5.6.7.8 y"},
				{"--name", "a\nb"},
				{"--hostname", "a\x1b]0;x\a"},
				{"--name", "../x"},
				{"--hostname", strings.Repeat("a", 300)},
			} {
				s.refused("", append(run(flags...), s.image, "true")...)
			}
		}},
		{"17", "CVE-2026-53488", "an image whose labels look like settings, of ours and of others", "labels choose nothing", 0, func(s *escapeStage) {
			labels := map[string]string{"run": "touch " + s.victim() + "/run", "io.podman.annotations.privileged": "TRUE", "io.containers.autoupdate": "registry"}
			for _, key := range []string{"network", "privileged", "cap-add", "userns", "volume", "seccomp", "sandbox", "init"} {
				labels["rootlet."+key], labels["io.rootlet."+key] = "host", "host"
			}
			s.prints("lo 00000000800405fb 2", run(s.build(v1.Config{Labels: labels}), "sh", "-c", `echo $(ls /sys/class/net) $(grep CapEff /proc/self/status | cut -f 2) $(grep Seccomp: /proc/self/status | cut -f 2)`)...)
		}},
	}
}

func fileEscapes() []escape {
	names := []string{"hosts", "resolv.conf", "hostname", "passwd", "group", "mtab", "localtime"}
	etc := func(kind, result string, make func(s *escapeStage, path string) entry) escape {
		return escape{"33", "CVE-2024-9341", "an image whose /etc/hosts, resolv.conf, hostname, passwd, group, mtab, localtime are " + kind, result, 0, func(s *escapeStage) {
			for _, name := range names {
				image := s.build(v1.Config{}, make(s, "etc/"+name))
				stdout, stderr, code := s.try(run(image, "sh", "-c", "head -c 200 /etc/hosts /etc/resolv.conf /etc/hostname | grep -c localhost")...)
				if code != 0 && code != 125 {
					s.t.Errorf("%s: exit code %d: %s%s", name, code, stdout, stderr)
				}
			}
		}}
	}
	return []escape{
		etc("links to a file outside", "written and read inside", func(s *escapeStage, path string) entry { return symlink(path, s.victim()+"/hello") }),
		etc("dangling links to the outside", "made inside, or refused", func(s *escapeStage, path string) entry {
			return symlink(path, strings.Repeat("../", 12)+s.victim()+"/new")
		}),
		etc("links to themselves", "refused, or not needed", func(_ *escapeStage, path string) entry { return symlink(path, path[len("etc/"):]) }),
		etc("FIFOs", "refused, or mounted over", func(_ *escapeStage, path string) entry {
			return entry{tar.Header{Typeflag: tar.TypeFifo, Name: path, Mode: 0o644}, ""}
		}),
		{"13", "CVE-2019-14271", "an image whose nsenter, ps, tar, sh and libnss are Trojan horses: top, stats, cp, diff, export, commit, `exec -u`", "none is executed", 0, trojans},
		{"33", "CVE-2019-18466", "an image that `commit` makes of a container whose /etc is full of links to the outside", "has links, and no file from outside", 0, func(s *escapeStage) {
			s.up("box")
			var script strings.Builder
			for _, name := range names {
				fmt.Fprintf(&script, "rm -f /etc/%[1]s 2>/dev/null; ln -s %[2]s/hello /etc/%[1]s 2>/dev/null; ", name, s.victim())
			}
			s.rootlet("exec", "box", "sh", "-c", script.String()+"true")
			s.rootlet("commit", "box", "committed")
			s.prints("", run("-u", "0", "committed", "sh", "-c", "cat /etc/passwd /etc/mtab 2>/dev/null || true")...)
			s.rootlet("rm", "-f", "box")
			s.rootlet("rmi", "-f", "committed")
		}},
	}
}

// trojans has programs in the places where a runtime might look, which tell of themselves
// inside and outside.
func trojans(s *escapeStage) {
	script := "#!/bin/busybox sh\necho ran >>" + s.victim() + "/ran; echo ran >>/ran\n"
	var entries []entry
	for _, name := range []string{"bin/ps", "bin/tar", "usr/bin/nsenter", "usr/bin/ps", "usr/bin/tar", "bin/cp", "usr/bin/newuidmap", "sbin/ip"} {
		entries = append(entries, file(name, 0o755, script))
	}
	for _, name := range []string{"lib/libnss_files.so.2", "lib64/libnss_files.so.2", "usr/lib/libnss_compat.so.2", "lib/ld-linux-x86-64.so.2"} {
		entries = append(entries, file(name, 0o755, script))
	}
	entries = append(entries, file("etc/nsswitch.conf", 0o644, "passwd: evil\n"))
	image := s.build(v1.Config{}, entries...)
	s.rootlet("run", "-d", "--name", "box", "--network", "none", image, "sleep", "1000")
	s.rootlet("top", "box")
	s.rootlet("stats", "--no-stream", "box")
	s.rootlet("cp", "box:/etc/passwd", s.t.TempDir())
	s.rootlet("cp", s.probe, "box:/tmp/x")
	s.rootlet("diff", "box")
	s.rootlet("export", "-o", s.t.TempDir()+"/x.tar", "box")
	s.rootlet("commit", "box", "committed")
	s.rootlet("exec", "-u", "root", "box", "true")
	s.prints("untouched", "exec", "box", "sh", "-c", "test -e /ran && cat /ran || echo untouched")
	s.rootlet("rmi", "committed")
}
