package integration

import (
	"archive/tar"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// What attacks while a container is made: descriptors, the executable, /dev, mount points.

func descriptorEscapes() []escape {
	const cve = "CVE-2024-21626"
	return []escape{
		{"1", cve, "an image whose working directory is `/proc/self/fd/N`, every fourth N from 3 to 64", "refused", 0, func(s *escapeStage) {
			for n := 3; n <= 64; n += 4 {
				s.refused("/proc/self/fd/", run(s.build(v1.Config{WorkingDir: fmt.Sprintf("/proc/self/fd/%d", n)}), "ls")...)
			}
		}},
		{"1", cve, "`run -w /proc/self/fd/N`, N from 3 to 64", "refused", 0, func(s *escapeStage) {
			for n := 3; n <= 64; n++ {
				s.refused("/proc/self/fd/", run("-w", fmt.Sprintf("/proc/self/fd/%d", n), s.image, "ls")...)
			}
		}},
		{"1", cve, "`exec -w /proc/self/fd/N`, N from 3 to 64, in a container with ALL", "refused", 0, func(s *escapeStage) {
			s.up("box", "--cap-add", "ALL")
			for n := 3; n <= 64; n++ {
				s.refused("/proc/self/fd/", "exec", "-w", fmt.Sprintf("/proc/self/fd/%d", n), "box", "ls")
			}
		}},
		{"1", cve, "descriptors that the user's shell has open, in `run`, `exec` and below the monitor", "none is there", 0, inheritedDescriptors},
		{"2", "", "what the first process, and rootlet as process 1 under `--init`, has open", "its three streams; nothing of the host's", 0, func(s *escapeStage) {
			s.up("box", "--cap-add", "ALL", "--init")
			stdout, stderr, _ := s.try("exec", "--privileged", "box", "/probe", "self")
			s.failed("self", stdout+stderr)
			s.prints("0 1 2 3", run(s.image, "sh", "-c", "echo $(ls /proc/self/fd)")...)
			s.prints("0 1 2", run(s.image, "sh", "-c", "echo $(cd /proc/1/fd && echo [0-2])")...)
		}},
	}
}

// inheritedDescriptors has a shell run rootlet with its home and files open.
func inheritedDescriptors(s *escapeStage) {
	shell := func(script string) string {
		s.t.Helper()
		c := exec.Command("sh", "-c", "exec 7<$HOME 8</etc/passwd 9<$HOME/.ssh/id_canary; "+script, "sh", s.image)
		c.Env = s.env
		output, err := c.CombinedOutput()
		if err != nil {
			s.t.Errorf("%s: %v\n%s", script, err, output)
		}
		s.blind(string(output))
		return string(output)
	}
	const list = ` sh -c 'echo $(ls /proc/self/fd)'`
	for _, script := range []string{
		"rootlet run --rm --network none $1" + list,
		"rootlet run -d --name box --network none --cap-add ALL $1 sleep 1000 >/dev/null; rootlet exec box" + list,
		"rootlet exec box sh -c 'echo $(ls /proc/1/fd) 3'",
	} {
		if got := strings.TrimSpace(shell(script)); got != "0 1 2 3" {
			s.t.Errorf("%s: %s", script, got)
		}
	}
	// The monitor is the parent of the first process.
	pid := strings.TrimSpace(s.rootlet("inspect", "-f", "{{.State.Pid}}", "box"))
	status, _ := os.ReadFile("/proc/" + pid + "/status")
	_, after, _ := strings.Cut(string(status), "\nPPid:\t")
	monitor, _, _ := strings.Cut(after, "\n")
	fds, _ := filepath.Glob("/proc/" + monitor + "/fd/*")
	for _, fd := range fds {
		if link, _ := os.Readlink(fd); link == s.home() || link == "/etc/passwd" || strings.Contains(link, "canary") {
			s.t.Errorf("the monitor has %s", link)
		}
	}
}

func executableEscapes() []escape {
	const cve = "CVE-2019-5736"
	return []escape{
		{"3", cve, "an entrypoint `#!/proc/self/exe`", "rootlet is not executed", 0, func(s *escapeStage) {
			image := s.build(v1.Config{Entrypoint: []string{"/script"}}, file("script", 0o755, "#!/proc/self/exe\n"))
			stdout, stderr, code := s.try(run(image, "version")...)
			if code == 0 || strings.Contains(strings.ToLower(stdout), "rootlet") {
				s.t.Errorf("exit code %d: %s%s", code, stdout, stderr)
			}
			stdout, _, code = s.try(run("--entrypoint", "/proc/self/exe", s.image, "version")...)
			if strings.Contains(strings.ToLower(stdout), "rootlet") {
				s.t.Errorf("--entrypoint: exit code %d: %s", code, stdout)
			}
		}},
		{"3", cve, "opening `/proc/N/exe` of each process that `exec` makes, for reading and writing", "not to be opened before it is the user's program", rounds, func(s *escapeStage) {
			s.besieged([]string{"--cap-add", "SYS_PTRACE"}, []string{"hold"}, func(int) { s.prints("", "exec", "attacker", "true") })
		}},
		{"3", cve, "writing the program of process 1 under `--init`, with ALL", "a copy with all four seals", 0, func(s *escapeStage) {
			s.up("box", "--cap-add", "ALL", "--init")
			stdout, stderr, _ := s.try("exec", "--privileged", "-u", "0", "box", "/probe", "self")
			s.failed("self", stdout+stderr)
		}},
	}
}

func devEscapes() []escape {
	dev := func(kind string, make func(path string) entry) escape {
		return escape{"5", "CVE-2025-52565", "an image whose /dev/console, /dev/pts, /dev/ptmx, /dev/fd are " + kind + ", with `-t`", "the terminal is of a /dev of its own", 0, func(s *escapeStage) {
			image := s.build(v1.Config{}, dir("dev", 0o755), make("dev/console"), make("dev/pts"), make("dev/ptmx"), make("dev/fd"))
			s.prints("/dev/pts/0", run("-t", image, "sh", "-c", "test -c /dev/console && test -c /dev/ptmx && tty")...)
		}}
	}
	outside := symlink("", "../../../../../../../../proc/1/root/etc/passwd").Linkname
	return []escape{
		{"4", "CVE-2025-31133", "an image whose /dev/null is a symbolic link to /proc/sys/kernel/core_pattern", "masks are made of the host's /dev/null, which is looked at", 0, func(s *escapeStage) {
			image := s.build(v1.Config{}, dir("dev", 0o755), symlink("dev/null", "/proc/sys/kernel/core_pattern"))
			s.prints("1:3\n0\nclosed", run("--cap-add", "ALL", image, "sh", "-c", "stat -c %t:%T /dev/null; cat /proc/kcore /proc/keys 2>/dev/null | wc -c; (echo x >/proc/sys/kernel/core_pattern) 2>/dev/null || echo closed")...)
		}},
		{"4", "CVE-2025-31133", "a volume for /dev, /dev/pts or /dev/null, in which another container puts links", "refused, or below it the masks are right", rounds, maskRace},
		dev("symbolic links", func(path string) entry { return symlink(path, outside) }),
		dev("files", func(path string) entry { return file(path, 0o666, "") }),
		dev("FIFOs", func(path string) entry {
			return entry{tar.Header{Typeflag: tar.TypeFifo, Name: path, Mode: 0o666}, ""}
		}),
		{"5", "CVE-2026-88264", "/dev/pts of a container mounted over and uncovered during `exec -t`, with ALL", "the terminal is of a devpts, or refused", rounds, func(s *escapeStage) {
			s.besieged([]string{"--cap-add", "ALL"}, []string{"cover", "/tmp", "/dev/pts"}, func(round int) {
				stdout, stderr, code := s.try("exec", "-t", "attacker", "tty")
				shown := strings.HasPrefix(stdout, "/dev/") || strings.HasPrefix(stdout, "not a tty") // where nothing is at that path
				if code == 126 == shown {
					s.t.Errorf("round %d: exit code %d: %s%s", round, code, stdout, stderr)
				}
			})
		}},
	}
}

// maskRace: what is at the sources of the masks is flipped by who shares a volume.
func maskRace(s *escapeStage) {
	for _, target := range []string{"/dev", "/dev/pts"} {
		s.refused("the runtime's own", run("-v", "shared:"+target, s.image, "true")...)
	}
	s.rootlet("run", "--rm", "--network", "none", "-v", "shared:/shared", s.image, "sh", "-c", "mkdir /shared/shm; echo >/shared/null; ln -s /proc/sys/kernel/core_pattern /shared/link")
	s.besieged([]string{"-v", "shared:/shared"}, []string{"flip", "/shared/null", "/shared/link"}, func(round int) {
		stdout, stderr, code := s.try(run("-v", "shared:/dev/x", "--tmpfs", "/dev/x/shm", s.image, "sh", "-c", "stat -c %t:%T /dev/null; cat /proc/kcore /proc/keys | wc -c")...)
		if code == 0 && stdout != "1:3\n0\n" || code != 0 && code != 125 {
			s.t.Errorf("round %d: exit code %d: %s%s", round, code, stdout, stderr)
		}
	})
}
