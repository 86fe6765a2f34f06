package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"rootlet/internal/testenv"
)

// What is outside and alive: the monitor, helpers, who joins; copies; the host.

func processEscapes() []escape {
	const cve = "CVE-2016-9962"
	return []escape{
		{"10, S18", cve, "PTRACE_SEIZE, process_vm_readv, pidfd_getfd and `/proc/N/{fd,mem,root,cwd,exe,environ,maps}` of each process that `exec` makes, with ALL", "EPERM, EACCES before it is the user's program", rounds, func(s *escapeStage) {
			s.besieged([]string{"--cap-add", "ALL"}, []string{"hold"}, func(int) { s.prints("", "exec", "attacker", "true") })
		}},
		{"10, S18", cve, "the same with no filter, while `exec -u NAME` reads users inside", "EPERM, EACCES before it is the user's program", rounds, func(s *escapeStage) {
			s.besieged([]string{"--cap-add", "ALL", "--security-opt", "seccomp=unconfined"}, []string{"hold"}, func(int) { s.prints("", "exec", "-u", "root", "attacker", "true") })
		}},
		{"10, S18", cve, "SIGKILL to each process that `exec` makes", "the exec ends; nobody outside does", rounds, func(s *escapeStage) {
			s.besieged([]string{"--cap-add", "ALL"}, []string{"kill"}, func(round int) {
				if _, stderr, code := s.try("exec", "attacker", "true"); code != 0 && code != 137 && code != 126 {
					s.t.Errorf("round %d: exit code %d: %s", round, code, stderr)
				}
			})
		}},
		{"S18", "", "the monitor and the helpers, with ALL: kill of every pid, /proc, the parent, namespaces above by NS_GET_PARENT and NS_GET_USERNS, who is at the other end of its streams", "ESRCH, EPERM", 0, func(s *escapeStage) {
			s.attacks([]string{"--cap-add", "ALL"}, "grab")
			s.attacks([]string{"--cap-add", "ALL", "--security-opt", "seccomp=unconfined"}, "grab")
		}},
		{"S18", "", "the same with helpers of the network and published ports, and in the network of another container", "ESRCH, EPERM", 0, func(s *escapeStage) {
			s.attacks([]string{"--cap-add", "ALL", "--network", "builtin", "-p", "127.0.0.1::80"}, "grab")
			s.up("box")
			s.attacks([]string{"--cap-add", "ALL", "--network", "container:box"}, "grab")
		}},
	}
}

func copyEscapes() []escape {
	flips := []string{"flip", "/flip/d", "/flip/l", "/shared/d", "/shared/l"}
	prepare := func(s *escapeStage) {
		s.rootlet("run", "--rm", "--network", "none", "-v", "shared:/shared", "-v", "flip:/flip", s.image, "sh", "-c",
			"for i in flip shared; do mkdir /$i/d; echo inside >/$i/d/hello; echo inside >/$i/d/f; ln -s "+s.victim()+" /$i/l; done")
	}
	flags := []string{"-v", "shared:/shared", "-v", "flip:/flip"}
	return []escape{
		{"34", "CVE-2018-15664", "`cp` out of a directory that is flipped with a link to the outside", "copied from inside, or refused", rounds, func(s *escapeStage) {
			prepare(s)
			out := s.t.TempDir()
			s.besieged(flags, flips, func(round int) {
				to := filepath.Join(out, "x")
				from := []string{"attacker:/flip/d/hello", "attacker:/shared/d/", "attacker:/flip/d"}[round%3]
				s.try(append([]string{"cp"}, from, to)...)
				s.copied(round, to)
			})
		}},
		{"34", "CVE-2018-15664", "`cp` into a directory that is flipped with a link to the outside", "copied inside, or refused", rounds, func(s *escapeStage) {
			prepare(s)
			mine := s.t.TempDir() + "/mine"
			if err := os.WriteFile(mine, []byte("mine"), 0o600); err != nil {
				s.t.Fatal(err)
			}
			before := s.look()
			s.besieged(flags, flips, func(round int) {
				s.try("cp", mine, []string{"attacker:/flip/d/hello", "attacker:/shared/d/new", "attacker:/flip/d/"}[round%3])
				before.compare(s.t, s.look())
			})
		}},
	}
}

// copied looks at what came out and removes it.
func (s *escapeStage) copied(round int, path string) {
	s.t.Helper()
	_ = filepath.WalkDir(path, func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil
		}
		if text, _ := os.ReadFile(path); strings.Contains(string(text), canaryText) {
			s.t.Errorf("round %d: %s has what is outside", round, path)
		}
		return nil
	})
	if err := os.RemoveAll(path); err != nil {
		s.t.Fatal(err)
	}
}

func hostEscapes() []escape {
	all := []escape{
		{"36", "", "what others may do with the store, the records and the sockets", "nothing: 0700 on the way", 0, func(s *escapeStage) {
			s.up("box")
			for _, path := range []string{s.home() + "/.local/share/rootlet", s.runtime() + "/rootlet"} {
				info, err := os.Stat(path)
				if os.IsNotExist(err) {
					continue
				}
				if err != nil || info.Mode().Perm() != 0o700 || ownerOf(info) != os.Getuid() {
					s.t.Errorf("%s: %v %v", path, info, err)
				}
			}
		}},
		{"37", "CVE-2019-12439", "a link at /tmp/rootlet-UID to the outside, and no XDG_RUNTIME_DIR", "not used", 0, func(s *escapeStage) {
			planted := []string{}
			for _, name := range []string{"rootlet-", "rootlet-run-", "storage-run-"} {
				path := filepath.Join(s.dir, "tmp", name+fmt.Sprint(os.Getuid()))
				if err := os.Symlink(s.victim(), path); err == nil {
					planted = append(planted, path)
				}
			}
			before := s.look()
			c := s.command(run(s.image, "true")...)
			c.Env = append(c.Env[:1:1], c.Env[2:]...)
			if output, err := c.CombinedOutput(); err != nil {
				s.t.Errorf("%v: %s", err, output)
			}
			before.compare(s.t, s.look())
			for _, path := range planted {
				_ = os.Remove(path)
			}
		}},
		{"38", "", "the monitor's socket from inside: sockets in any mount, abstract ones of rootlet's in the network of the host", "there are none", 0, func(s *escapeStage) {
			s.up("box")
			s.prints("0", run("--cap-add", "ALL", s.image, "sh", "-c", "find / -xdev -type s 2>/dev/null | wc -l")...)
			s.prints("0", run("--network", "host", s.image, "sh", "-c", "grep -c '@.*rootlet' /proc/net/unix || true")...)
		}},
		{"39", "CVE-2020-15257", "abstract sockets of the host without `--network host`", "another network namespace", 0, func(s *escapeStage) {
			s.prints("0", run(s.image, "sh", "-c", "grep -c @ /proc/net/unix || true")...)
		}},
	}
	all = append(all, escape{"46", "", "a file of the user's own, 0600, and his home, bound into a container with `--userns nomap` and ALL", "EACCES: container root is another id", 0, func(s *escapeStage) {
		args := run("--userns", "nomap", "--cap-add", "ALL", "-v", s.home()+"/.ssh/id_canary:/key", "-v", s.victim()+":/victim", s.image, "sh", "-c",
			"for f in /key /victim/hello; do cat $f; chmod 666 $f; chown 0 $f; echo x >>$f; done 2>/dev/null; touch /victim/new 2>/dev/null || echo closed")
		if testenv.Kind() == testenv.WithoutSubIDs {
			s.refused("no subordinate ids", args...)
			return
		}
		s.prints("closed", args...)
	}})
	for _, driver := range []string{"builtin", "slirp4netns", "pasta"} {
		all = append(all, escape{"40", "", "a service on the host's 127.0.0.1, over TCP and UDP, by 10.0.2.2, 10.0.2.3, fd00::2 and the gateway, under " + driver, "no answer", 0, func(s *escapeStage) { s.loopback(driver) }})
	}
	return all
}

// loopback has a service on the host's loopback interface answer all who reach it.
func (s *escapeStage) loopback(driver string) {
	tcp, udp, reached := loopbackService(s.t)
	args := []string{"dial"}
	for _, host := range []string{"10.0.2.2", "10.0.2.3", "[fd00::2]", "[fd00::3]", "127.0.0.1", "[::1]", "169.254.1.1", "[::ffff:127.0.0.1]"} {
		args = append(args, "tcp", host+":"+tcp, "udp", host+":"+udp)
	}
	s.attacks([]string{"--network", driver}, args...)
	if n := reached(); n > 0 {
		s.t.Errorf("it was reached %d times", n)
	}
}
