package slirp

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"rootlet/internal/landlock"
	"rootlet/internal/testenv"
)

// Whoever takes over the process that moves a container's frames has none of the user's
// files: threats.md, 43.
func TestIntruderInTheStack(t *testing.T) {
	const key = "ROOTLET_TEST_INTRUDER"
	if home := os.Getenv(key); home != "" {
		if err := landlock.Restrict(needs()); err != nil {
			t.Fatal(err)
		}
		id := filepath.Join(home, "id")
		if _, err := os.ReadFile(id); !errors.Is(err, unix.EACCES) {
			t.Errorf("a file of the user's can be read: %v", err)
		}
		if err := os.WriteFile(id, nil, 0); !errors.Is(err, unix.EACCES) {
			t.Errorf("it can be written: %v", err)
		}
		if err := exec.Command("/bin/true").Run(); !errors.Is(err, unix.EACCES) {
			t.Errorf("a program can be started: %v", err)
		}
		if _, err := os.ReadFile("/etc/resolv.conf"); err != nil {
			t.Errorf("where names are looked up: %v", err)
		}
		if _, err := os.ReadFile("/proc/self/maps"); err != nil {
			t.Errorf("its own maps: %v", err)
		}
		return
	}
	if _, err := landlock.ABI(); err != nil {
		testenv.Skip(t, err.Error())
	}
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, "id"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	intruder := exec.Command("/proc/self/exe", "-test.run=^TestIntruderInTheStack$")
	intruder.Env = append(os.Environ(), key+"="+home)
	if out, err := intruder.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
