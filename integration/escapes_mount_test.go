package integration

import (
	"os"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func mountEscapes() []escape {
	all := []escape{
		{"7", "CVE-2019-19921", "a volume, a tmpfs or a bind mount at /proc, /sys or below", "refused", 0, func(s *escapeStage) {
			for _, flags := range [][]string{
				{"-v", "fake:/proc"},
				{"-v", "fake:/proc/self"},
				{"--tmpfs", "/proc/self"},
				{"--tmpfs", "/proc"},
				{"-v", "/tmp:/proc/sys"},
				{"--tmpfs", "/proc/self/attr"},
				{"-v", "fake:/sys"},
				{"--tmpfs", "/sys/fs"},
				{"-v", "fake:/x/../proc"},
				{"-v", "fake:/"},
			} {
				s.refused("/proc|/sys|runtime's own|must not be /", append(run(flags...), s.image, "true")...)
			}
		}},
		{"7", "CVE-2023-27561", "an image with files at /proc/sys/net, for what the runtime sets there", "set in a /proc of its own", 0, func(s *escapeStage) {
			image := s.build(v1.Config{}, dir("proc", 0o755), dir("proc/sys", 0o755), dir("proc/sys/user", 0o755), file("proc/sys/user/max_user_namespaces", 0o666, "fake"),
				dir("proc/sys/net", 0o755), dir("proc/sys/net/ipv4", 0o755), symlink("proc/sys/net/ipv4/ip_unprivileged_port_start", s.victim()+"/hello"))
			s.prints("0", run(image, "cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start")...)
		}},
		{"8", "CVE-2021-30465, CVE-2024-45310", "mount points in a shared volume, there or still to be made, flipped with a link to the outside: `-v`, `--tmpfs`, a file, during `run`", "made inside, or refused; nothing outside", rounds, destinationRace},
		{"9", "CVE-2026-55686", "a working directory through an absolute link, and one with `..`", "inside, where it is made", 0, func(s *escapeStage) {
			for _, link := range []string{s.victim(), strings.Repeat("../", 12) + s.victim()} {
				image := s.build(v1.Config{WorkingDir: "/leads/made/here"}, symlink("leads", link))
				s.prints(s.victim()+"/made/here", run(image, "pwd")...)
			}
			image := s.build(v1.Config{WorkingDir: "/leads/out/../../../../../../" + s.victim() + "/made"}, symlink("leads", "../../../../../../.."))
			s.prints(".*/victim/made", run(image, "pwd")...)
		}},
		{"9", "CVE-2026-55686", "a working directory in a shared volume, flipped with a link to the outside during `run -w`", "inside, or refused", rounds, func(s *escapeStage) {
			s.share()
			s.besieged([]string{"-v", "shared:/shared"}, s.flips(), func(round int) {
				s.either(round, run("-v", "shared:/shared", "-w", "/shared/d/made", s.image, "ls"))
			})
		}},
		{"9", "CVE-2024-21626", "a working directory flipped with a link to descriptors, roots and directories of /proc during `exec -w`", "inside, or refused", rounds, func(s *escapeStage) {
			s.rootlet("run", "--rm", "--network", "none", "-v", "shared:/shared", s.image, "sh", "-c", "mkdir /shared/d /shared/e; ln -s /proc/self/fd/7 /shared/l; ln -s /proc/1/root/.. /shared/m")
			s.besieged([]string{"-v", "shared:/shared"}, []string{"flip", "/shared/d", "/shared/l", "/shared/e", "/shared/m"}, func(round int) {
				stdout, stderr, code := s.try("exec", "-w", []string{"/shared/d", "/shared/e"}[round%2], "attacker", "ls", "-a", ".")
				if code != 0 && code != 126 && code != 127 || strings.Contains(stdout, "victim") || strings.Contains(stdout, ".ssh") {
					s.t.Errorf("round %d: exit code %d: %s%s", round, code, stdout, stderr)
				}
			})
		}},
		{"8", "", "a bind mount whose source is a link of the container's own volume", "what the user named is mounted, and no link inside is followed to the outside", 0, func(s *escapeStage) {
			s.rootlet("run", "--rm", "--network", "none", "-v", "shared:/shared", s.image, "ln", "-s", s.victim(), "/shared/l")
			stdout, _, _ := s.try(run("-v", "shared:/shared", s.image, "sh", "-c", "ls /shared/l/; cat /shared/l/hello")...)
			if strings.Contains(stdout, "hello") {
				s.t.Errorf("it sees %s", stdout)
			}
		}},
	}
	for _, path := range []string{"dev", "proc", "sys"} {
		all = append(all, escape{"6", "CVE-2026-41579", "an image whose /" + path + " is a symbolic link to the outside", "refused", 0, func(s *escapeStage) {
			s.refused("/"+path, run(s.build(v1.Config{}, symlink(path, s.victim())), "true")...)
			s.refused("/"+path, run(s.build(v1.Config{}, symlink(path, strings.Repeat("../", 12)+s.victim())), "true")...)
		}})
	}
	return append(all, escape{"6", "CVE-2026-41579", "an image whose /etc and /run are symbolic links to the outside", "they stay inside", 0, func(s *escapeStage) {
		image := s.build(v1.Config{}, file(".wh.etc", 0, ""), symlink("etc", s.victim()), symlink("run", s.victim()))
		s.prints("localhost", run(image, "sh", "-c", "grep -o localhost /etc/hosts | head -n 1")...)
	}})
}

// share makes the volume of the races: a directory, and a link to the victim.
func (s *escapeStage) share() {
	s.t.Helper()
	s.rootlet("run", "--rm", "--network", "none", "-v", "shared:/shared", s.image, "sh", "-c", "mkdir -p /shared/d/sub; touch /shared/d/f; ln -s "+s.victim()+" /shared/l; mkdir /shared/e; ln -s "+strings.Repeat("../", 12)+s.victim()+" /shared/m")
}

func (s *escapeStage) flips() []string {
	return []string{"flip", "/shared/d", "/shared/l", "/shared/e", "/shared/m"}
}

// either is a command that works, or is refused as rootlet refuses; and the victim is not
// seen, nor is anything made beside it.
func (s *escapeStage) either(round int, args []string) {
	s.t.Helper()
	stdout, stderr, code := s.try(args...)
	if code != 0 && (code < 125 || code > 127) || strings.Contains(stdout, "hello") {
		s.t.Errorf("round %d: exit code %d: %s%s", round, code, stdout, stderr)
	}
	if entries, err := os.ReadDir(s.victim()); err != nil || len(entries) != 2 {
		s.t.Errorf("round %d: outside there is %v %v", round, entries, err)
	}
}

func destinationRace(s *escapeStage) {
	s.share()
	kinds := [][]string{
		{"-v", s.dir + "/bin:/shared/d/sub:ro"},
		{"--tmpfs", "/shared/d/sub"},
		{"-v", s.probe + ":/shared/d/f:ro"},
		{"-v", "other:/shared/e/new"},
		{"--tmpfs", "/shared/d/new/deep"},
		{"-v", s.probe + ":/shared/d/file"},
	}
	s.besieged([]string{"-v", "shared:/shared"}, s.flips(), func(round int) {
		s.either(round, append(append(run("-v", "shared:/shared"), kinds[round%len(kinds)]...), s.image, "true"))
	})
}
