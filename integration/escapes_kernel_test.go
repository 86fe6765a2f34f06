package integration

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"rootlet/internal/linux"
)

// Terminals, and what the kernel has for those who may much.

func terminalEscapes() []escape {
	return []escape{
		{"18", "CVE-2017-5226", "typing into the user's terminal by TIOCSTI and TIOCLINUX, also with a 1 in bit 32, under `-t`, 500 times", "EPERM", 0, func(s *escapeStage) {
			s.onTerminal("tried", run("-t", "-v", s.probe+":/probe:ro", "-e", stageKey+"="+stageAttack, s.image, "/probe", "tiocsti"))
		}},
		{"18", "CVE-2017-5226", "the same in a container without a filter, with ALL", "types into its own terminal, never the host's", 0, func(s *escapeStage) {
			s.onTerminal("", run("-t", "--cap-add", "ALL", "--security-opt", "seccomp=unconfined", "-v", s.probe+":/probe:ro", "-e", stageKey+"="+stageAttack, s.image, "/probe", "tiocsti"))
		}},
		{"18", "CVE-2017-5226", "the same by `exec -t`, and by `run` and `exec` without a terminal of their own", "EPERM; without `-t` there is no terminal", 0, func(s *escapeStage) {
			s.up("box")
			s.onTerminal("tried", []string{"exec", "-t", "box", "/probe", "tiocsti"})
			s.onTerminal("tried", []string{"exec", "-i", "box", "/probe", "tiocsti"})
			s.onTerminal("none", run("-i", s.image, "sh", "-c", "test -t 0 || test -t 1 || test -t 2 || (: </dev/tty) 2>/dev/null || echo none"))
		}},
	}
}

// onTerminal runs the command with a terminal of the user's, on which nobody types.
func (s *escapeStage) onTerminal(shows string, args []string) {
	s.t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	defer master.Close()
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		s.t.Fatal(err)
	}
	peer, err := linux.PTYPeer(int(master.Fd()))
	if err != nil {
		s.t.Fatal(err)
	}
	terminal := os.NewFile(uintptr(peer), "terminal")
	defer terminal.Close()
	c := s.command(args...)
	var out strings.Builder
	c.Stdin, c.Stdout, c.Stderr = terminal, &out, &out
	if err := c.Run(); err != nil && shows != "" {
		s.t.Errorf("%s: %v\n%s", args, err, out.String())
	}
	if !strings.Contains(out.String(), shows) || shows != "" && strings.Contains(out.String(), "typed with") {
		s.t.Errorf("%s: %s", args, out.String())
	}
	if n, err := unix.IoctlGetInt(peer, unix.TIOCINQ); err != nil || n != 0 {
		s.t.Errorf("%s: %d letters wait in the user's terminal: %v", args, n, err)
	}
}

func kernelEscapes() []escape {
	return []escape{
		{"19", "", "a user namespace by unshare and clone, without CAP_SYS_ADMIN", "EPERM", 0, func(s *escapeStage) {
			s.prints("closed", run(s.image, "sh", "-c", "unshare -U true 2>/dev/null || echo closed")...)
			stdout := s.attacks(nil, "nest")
			if strings.TrimSpace(stdout) != "0" {
				s.t.Errorf("%s were made", stdout)
			}
		}},
		{"19, S18", "", "user namespaces without end, with ALL, and with no filter", "32 at a time, below the container's own", 0, func(s *escapeStage) {
			for _, filter := range []string{"builtin", "unconfined"} {
				stdout := s.attacks([]string{"--cap-add", "ALL", "--security-opt", "seccomp=" + filter}, "nest")
				if strings.TrimSpace(stdout) != "32" {
					s.t.Errorf("%s were made", stdout)
				}
			}
			s.prints("closed", run("--cap-add", "ALL", s.image, "sh", "-c", "(echo 1000 >/proc/sys/user/max_user_namespaces) 2>/dev/null || echo closed")...)
		}},
		{"20", "CVE-2026-31431", "sockets of AF_ALG and AF_VSOCK, also with a 1 in bit 32, with ALL", "EPERM", 0, func(s *escapeStage) {
			s.attacks(nil, "sockets")
			s.attacks([]string{"--cap-add", "ALL"}, "sockets")
		}},
		{"21", "CVE-2023-25809", "writing control groups: each file below /sys/fs/cgroup", "EROFS", 0, func(s *escapeStage) {
			s.attacks(nil, "cgroups")
		}},
		{"21", "CVE-2022-0492", "release_agent: a remount, the hierarchies of version 1, with ALL", "EPERM", 0, func(s *escapeStage) {
			s.attacks([]string{"--cap-add", "ALL"}, "cgroups")
			s.attacks([]string{"--cap-add", "ALL", "--network", "host"}, "cgroups")
		}},
		{"S18", "shocker.c", "opening the file outside, and the root of the host's file system, by handle at a volume, with ALL", "EPERM", 0, func(s *escapeStage) {
			args := []string{"handle", "/volume"}
			for _, path := range []string{s.victim(), s.victim() + "/hello", s.home() + "/.ssh/id_canary"} {
				handle, _, err := unix.NameToHandleAt(unix.AT_FDCWD, path, 0)
				if err != nil {
					s.t.Fatal(err)
				}
				args = append(args, fmt.Sprintf("%s:%x", strconv.Itoa(int(handle.Type())), handle.Bytes()))
			}
			s.attacks([]string{"--cap-add", "ALL", "-v", s.dir + "/bin:/volume:ro"}, args...)
			s.attacks([]string{"--cap-add", "ALL", "--security-opt", "seccomp=unconfined", "-v", s.dir + "/bin:/volume:ro"}, args...)
		}},
	}
}

func maskEscapes() []escape {
	admin := []string{"--cap-add", "ALL"}
	return []escape{
		{"22", "", "reading what is hidden of /proc and /sys, writing what is closed", "empty, EROFS", 0, func(s *escapeStage) { s.attacks(nil, "unmasked") }},
		{"22", "", "the same with the network of the host, and by `exec --privileged`", "empty, EROFS", 0, func(s *escapeStage) {
			s.attacks([]string{"--network", "host"}, "unmasked")
			s.up("box")
			stdout, stderr, _ := s.try("exec", "--privileged", "box", "/probe", "unmasked")
			s.failed("unmasked", stdout+stderr)
		}},
		{"22, S18", "", "taking masks off with ALL: umount, remount, move, bind, open_tree, mount_setattr, fspick, a /proc and a /sys of its own; the same in further mount, pid and user namespaces", "EPERM, EINVAL, EBUSY", 0, func(s *escapeStage) { s.attacks(admin, "unmask") }},
		{"22, S18", "", "the same without a filter", "EPERM, EINVAL, EBUSY", 0, func(s *escapeStage) {
			s.attacks(append([]string{"--security-opt", "seccomp=unconfined"}, admin...), "unmask")
		}},
		{"22, S18", "", "the same with the network of the host, whose /sys is the host's", "EPERM, EINVAL, EBUSY", 0, func(s *escapeStage) {
			s.attacks(append([]string{"--network", "host"}, admin...), "unmask")
		}},
	}
}
