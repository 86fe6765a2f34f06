package integration

import "strings"

// Who answers for root emulation sees what a container has, by rights of his own.

func emulationEscapes() []escape {
	race := func(flags ...string) func(*escapeStage) {
		return func(s *escapeStage) {
			s.tried(append(flags, "-v", s.dir+"/bin:/mounted:ro", "-v", "work:/work", "-v", "shared:/shared"), "emulation-race", s.victim(), "/work", "/shared")
		}
	}
	return []escape{
		{"9, S18", "", "chown, stat, mknod and mkdir with one id: the path's text, and directories on the way, changed for links to the outside while root emulation answers", "followed inside, or refused", 0, race()},
		{"9, S18", "", "the same with ALL and no filter", "followed inside, or refused", 0, race("--cap-add", "ALL", "--security-opt", "seccomp=unconfined")},
		{"1, S18", "", "the same calls on descriptors of /proc, sockets and memory, replaced and closed meanwhile, with answers to where there is no memory", "EBADF, EFAULT", 0, func(s *escapeStage) {
			s.tried([]string{"-v", "work:/work"}, "emulation-fds", "/work", s.victim()+"/hello")
		}},
		{"10, S18", "", "callers that are killed while they wait, so that their numbers come again", "no answer, and none to others", 0, func(s *escapeStage) {
			s.tried([]string{"-v", "work:/work"}, "dying", "/work")
		}},
	}
}

// tried is an attack that comes to its end.
func (s *escapeStage) tried(flags []string, args ...string) {
	s.t.Helper()
	if stdout := s.attacks(flags, args...); !strings.Contains(stdout, "tried") {
		s.t.Errorf("attack %s did not come to its end: %s", args, stdout)
	}
}
