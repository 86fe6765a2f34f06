package integration

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"rootlet/internal/testenv"
)

// What other users of the host get of a person's things: threats.md, 36 to 38 and S11.

// neighbour is somebody whose home others may enter, as many are, whose umask forbids
// nothing, and whose data directory was there before, open to all. His home's name has
// more bytes than the address of a socket.
func neighbour(t *testing.T) (*person, string) {
	t.Helper()
	testenv.NeedSubIDs(t)
	p, image := someone(t, "busybox")
	before := syscall.Umask(0)
	t.Cleanup(func() { syscall.Umask(before) })
	home := filepath.Join(p.home(), strings.Repeat("h", 200))
	for _, dir := range []string{filepath.Join(home, ".local/share/rootlet"), filepath.Join(p.runtime(), "rootlet")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { removeStore(t, home) })
	p.env = slices.Clone(p.env)
	p.env[0] = "HOME=" + home
	return p, image
}

// busy has a container that runs, with a volume, a port and a network with a name, and
// one that has ended.
func (p *person) busy(image string) {
	p.t.Helper()
	p.t.Cleanup(p.idle)
	p.rootlet("network", "create", "shop")
	p.rootlet("volume", "create", "stock")
	p.rootlet("run", "-d", "--name", "runs", "--network", "shop", "-v", "stock:/stock", "-p", "127.0.0.1::80", image, "sh", "-c", "echo up >/stock/file; exec sleep 1000")
	p.rootlet("run", "--name", "ended", "--network", "none", image, "echo", "a secret")
	until(p.t, "its file", func() bool { return p.rootlet("exec", "runs", "cat", "/stock/file") == "up\n" })
}

func (p *person) idle() {
	p.t.Helper()
	p.rootlet("rm", "-f", "-v", "runs", "ended")
	p.rootlet("network", "rm", "shop")
	p.rootlet("volume", "rm", "stock")
}

func TestOthersAreDenied(t *testing.T) {
	p, image := neighbour(t)
	p.busy(image)
	var probes []probe
	var given []*os.File
	sockets := 0
	for i, root := range []string{p.data(), filepath.Join(p.runtime(), "rootlet")} {
		dir, err := os.Open(root)
		if err != nil {
			t.Fatal(err)
		}
		defer dir.Close()
		given = append(given, dir)
		within := fmt.Sprintf("/proc/self/fd/%d", anotherFD+i)
		_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if entry == nil {
				return nil // gone meanwhile
			}
			at := within + strings.TrimPrefix(path, root)
			tries := []string{"stat", "read", "write", "execute"}
			switch {
			case path == root: // everybody may see that it is there, and no more
				tries = []string{"execute"}
				at += "/"
			case entry.Type() == fs.ModeSocket:
				tries = append(tries, "connect")
				sockets++
			}
			for _, try := range tries {
				probes = append(probes, probe{Do: try, Path: at})
			}
			return nil
		})
	}
	for _, pid := range p.processes() {
		for _, file := range []string{"environ", "mem", "maps", "fd", "root/etc", "cwd/.", "stack", "syscall"} {
			probes = append(probes, probe{Do: "read", Path: fmt.Sprintf("/proc/%d/%s", pid, file)})
		}
	}
	for i, answer := range asAnother(t, probes, given...) {
		if answer != "EACCES" && answer != "EPERM" {
			t.Errorf("%s %s: %s", probes[i].Do, probes[i].Path, answer)
		}
	}
	t.Logf("%d probes, %d of sockets", len(probes), sockets)
	if len(probes) < 300 || sockets < 2 {
		t.Errorf("only %d probes, and %d sockets", len(probes), sockets)
	}
	p.modes()
	p.noAbstractSockets()
}

// shared is what a container sees of its own, below the data directory: others than its
// root may read it there, and the way to it from outside is closed.
var shared = regexp.MustCompile(`^(storage/overlay(/.*)?|containers/[^/]+/(upper|rootfs|work)(/.*)?|containers/[^/]+/(hosts|hostname|resolv\.conf)|volumes/[^/]+/_data(/.*)?)$`)

// modes looks whether each file is the user's alone, were the directories above it open.
func (p *person) modes() {
	p.t.Helper()
	for _, root := range []string{p.data(), filepath.Join(p.runtime(), "rootlet")} {
		_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if entry == nil || entry.Type() == fs.ModeSymlink || shared.MatchString(strings.TrimPrefix(path, root+"/")) {
				return nil
			}
			if info, err := entry.Info(); err == nil && info.Mode().Perm()&0o077 != 0 {
				p.t.Errorf("%s has the mode %v", strings.TrimPrefix(path, root), info.Mode())
			}
			return nil
		})
	}
}

// processes are those of the container that runs, the monitor first of all, and of its
// network.
func (p *person) processes() (pids []int) {
	p.t.Helper()
	monitor := p.monitor("runs")
	of := map[int]bool{monitor: true}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		parent, _ := strconv.Atoi(statusOf(pid, "PPid"))
		line, _ := os.ReadFile(dir + "/cmdline")
		name, _, _ := strings.Cut(string(line), "\x00")
		mine := statusOf(pid, "Uid") == fmt.Sprintf("%[1]d\t%[1]d\t%[1]d\t%[1]d", os.Getuid())
		if of[parent] || mine && slices.Contains([]string{"rootlet-bridge", "rootlet-switch"}, name) {
			of[pid] = true
		}
	}
	for pid := range of {
		pids = append(pids, pid)
	}
	if len(pids) < 5 {
		p.t.Errorf("only %d processes: %v", len(pids), pids)
	}
	return pids
}

// noAbstractSockets looks at each socket that a process of his has open: one without a
// file has no mode, and every process in the network namespace can connect to it.
func (p *person) noAbstractSockets() {
	p.t.Helper()
	table, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		p.t.Fatal(err)
	}
	names := map[string]string{} // by inode
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) >= 7 {
			names["socket:["+f[6]+"]"] = strings.Join(f[7:], " ")
		}
	}
	named := 0
	for _, pid := range p.processes() {
		fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		for _, fd := range fds {
			link, _ := os.Readlink(fd)
			if strings.HasPrefix(names[link], "@") {
				p.t.Errorf("process %d listens at %s", pid, names[link])
			}
			if names[link] != "" {
				named++
			}
		}
	}
	if named < 2 {
		p.t.Errorf("only %d sockets with a name were seen", named)
	}
}

// Were a socket within another's reach, as on a file system without modes, who is at the
// other end would still be asked for.
func TestSocketsKnowTheirUser(t *testing.T) {
	p, image := neighbour(t)
	p.busy(image)
	container := filepath.Join("containers", p.inspect("runs", ".Id"))
	asks := map[string][]byte{
		filepath.Join(container, "socket"): frame(2, `{"verb":"kill","signal":"CONT"}`),
		"networks/shop/socket":             frame(3, `{"Name":"runs"}`),
	}
	dir, err := os.Open(p.data())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	for _, name := range []string{"", "containers", container, "networks", "networks/shop"} {
		if err := os.Chmod(filepath.Join(p.data(), name), 0o711); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range asks {
		path := filepath.Join(p.data(), name)
		if err := os.Chmod(path, 0o666); err != nil {
			t.Fatal(err)
		}
		own := probe{Do: "ask", Path: fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), name), Send: text}
		if answer, err := own.try(); err != nil || answer != "1 bytes" {
			t.Errorf("%s: the user himself gets %q, %v", name, answer, err)
		}
		his := own
		his.Path = fmt.Sprintf("/proc/self/fd/%d/%s", anotherFD, name)
		if answer := asAnother(t, []probe{his}, dir)[0]; answer != "0 bytes" {
			t.Errorf("%s: another user gets %q", name, answer)
		}
	}
}

// frame is what goes over rootlet's sockets: kind, length and text.
func frame(kind byte, text string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(text))), text...)
}

// What another user has made beforehand, where he might guess that it will be looked for,
// is left alone.
func TestTrapsOfAnother(t *testing.T) {
	p, image := neighbour(t)
	trap := fmt.Sprintf("/tmp/rootlet-%d", os.Getuid())
	for _, kind := range []string{"mkdir", "symlink", "mkfifo"} {
		t.Run(kind, func(t *testing.T) {
			remove := []probe{{Do: "remove", Path: trap}}
			if got := asAnother(t, []probe{{Do: kind, Path: trap}}); got[0] != "yes" {
				t.Fatal(got)
			}
			defer func() {
				if got := asAnother(t, remove); got[0] != "yes" {
					t.Errorf("remove the trap: %v", got)
				}
			}()
			if kind == "mkdir" {
				asAnother(t, []probe{{Do: "chmod", Path: trap}})
			}
			before, err := os.Lstat(trap)
			if err != nil {
				t.Fatal(err)
			}
			p := &person{t, slices.Clone(p.env), rootlet}
			for _, runtime := range []string{trap, ""} {
				p.env[1] = "XDG_RUNTIME_DIR=" + runtime
				if got := strings.TrimSpace(p.rootlet("info", "-f", "{{.RuntimeDir}}")); got != p.data()+"/run" {
					t.Errorf("XDG_RUNTIME_DIR=%s: %s", runtime, got)
				}
				p.rootlet("run", "--rm", "--network", "builtin", image, "true")
			}
			after, err := os.Lstat(trap)
			if err != nil || after.ModTime() != before.ModTime() || after.Mode() != before.Mode() {
				t.Errorf("it was %v, and is %v, %v", before, after, err)
			}
		})
	}
}
