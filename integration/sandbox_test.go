package integration

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"rootlet/internal/testenv"
)

// TestSystemCallsOfASandbox has a program try what it must not do, in all the ways to
// start one.
func TestSystemCallsOfASandbox(t *testing.T) {
	testenv.NeedUser(t)
	p, image := someone(t, "busybox")
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	probe := []string{"-v", binary + ":/probe:ro", "-e", stageKey + "=" + stageSandbox, "--sandbox", "-q"}
	run := func(flags ...string) string {
		return p.rootlet(slices.Concat([]string{"run", "--rm"}, probe, flags, []string{image, "/probe"})...)
	}
	p.rootlet(slices.Concat([]string{"run", "-d", "--name", "up"}, probe, []string{image, "sleep", "1000"})...)
	for name, printed := range map[string]string{
		"run":        run(),
		"run --init": run("--init"),
		"exec":       p.rootlet("exec", "up", "/probe"),
		"exec -u":    p.rootlet("exec", "-u", "0", "up", "/probe"),
	} {
		checkProbe(t, name, printed, sandboxCalls(), refusedAlways)
	}
	p.rootlet("rm", "-f", "up")
}

// A call of i386's is the end of the program that makes it.
func TestASandboxHasNoCallsOfI386(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		testenv.NotFor(t, "a machine without i386")
	}
	p, image := someone(t, "busybox")
	program := filepath.Join(t.TempDir(), "program")
	// mov $1, %eax; xor %ebx, %ebx; int $0x80: exit(0), and ud2.
	if err := os.WriteFile(program, elf64([]byte{0xb8, 1, 0, 0, 0, 0x31, 0xdb, 0xcd, 0x80, 0x0f, 0x0b}), 0o755); err != nil {
		t.Fatal(err)
	}
	run := []string{"run", "--rm", "-q", "--network", "none", "-v", program + ":/program:ro"}
	if _, _, code := p.try(append(run, image, "/program")...); code != 0 {
		testenv.NotFor(t, "a kernel without the calls of i386")
	}
	if _, stderr, code := p.try(append(run, "--sandbox", image, "/program")...); code != 128+31 {
		t.Errorf("exit code %d, want that of SIGSYS; %s", code, stderr)
	}
}

// elf64 is a program for amd64 of nothing but code.
func elf64(code []byte) []byte {
	const at, headers = 0x400000, 64 + 56
	var b bytes.Buffer
	b.WriteString("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	for _, field := range []any{
		uint16(2), uint16(62), uint32(1), uint64(at + headers), uint64(64), uint64(0), uint32(0), uint16(64), uint16(56), uint16(1), uint16(0), uint16(0), uint16(0),
		uint32(1), uint32(5), uint64(0), uint64(at), uint64(at), uint64(headers + len(code)), uint64(headers + len(code)), uint64(0x1000),
	} {
		_ = binary.Write(&b, binary.LittleEndian, field)
	}
	b.Write(code)
	return b.Bytes()
}

// TestWorkInASandbox has this host's own Debian do in a sandbox what programs do: its
// shell, Python and a compiler.
func TestWorkInASandbox(t *testing.T) {
	for _, name := range []string{"bash", "gcc", "make", "git", "python3"} {
		testenv.NeedProgram(t, name)
	}
	p, image := someone(t, "busybox")
	script, err := os.ReadFile("testdata/sandbox.sh")
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"run", "--rm", "-q", "-i", "--sandbox", "-e", "PATH=/usr/bin:/bin", "-w", "/tmp"}
	for _, dir := range []string{"/usr", "/bin", "/lib", "/lib64"} {
		if _, err := os.Stat(dir); err == nil {
			args = append(args, "-v", dir+":"+dir+":ro")
		}
	}
	command := p.command(append(args, image, "bash", "-eu")...)
	command.Stdin = bytes.NewReader(script)
	output, err := command.CombinedOutput()
	if err != nil || !strings.HasSuffix(string(output), "all done\n") {
		t.Errorf("%v\n%s", err, output)
	}
}
