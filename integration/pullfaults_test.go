package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Pulls that are killed, broken off, or run side by side:
//
//   - F1, F4: the puller, its worker, or both die within a blob (here);
//   - F19: eight pulls at once, of one image or of eight that share layers (here);
//   - SIGINT at many points of a pull (here);
//   - F2, F3: SIGKILL at each step of a pull (pullsweep_test.go);
//   - F10, F11: no space, no inodes, no quota, errors of the disk, a store that
//     is read-only (fullstore_test.go).

// F1 and F4: whoever dies in the middle of a blob, the next pull goes on from
// there, and takes nothing twice.
func TestPullerIsKilledWithinABlob(t *testing.T) {
	const size = 4 << 20
	m := newMeter(t)
	image, digests, err := noisy(1, size)
	if err != nil {
		t.Fatal(err)
	}
	ref, big := m.put(t, "big", image), digests[0]
	for name, victims := range map[string]func(t *testing.T, client int) []int{
		"client": func(_ *testing.T, client int) []int { return []int{client} },
		"worker": func(t *testing.T, client int) []int { return []int{workerOf(t, client)} },
		"both":   func(t *testing.T, client int) []int { return []int{client, workerOf(t, client)} },
		"group":  func(_ *testing.T, client int) []int { return []int{-client} },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPerson(t)
			for _, percent := range []int64{1, 10, 50, 90, 99} {
				p, at := p.withStore(t, fmt.Sprint(percent)), size*percent/100
				m.reset()
				m.hold(big, at)
				killPull(t, p, ref, func(client int) []int {
					until(t, "all that was sent is kept", func() bool { return partialSize(p, big) == at })
					return victims(t, client)
				})
				if out := p.rootlet("images", "-q"); out != "" {
					t.Errorf("killed at %d%%: images shows %q", percent, out)
				}
				m.release()
				if out := p.rootlet("run", "--rm", ref, "sh", "-c", "wc -c </noise-1"); strings.TrimSpace(out) != "4194304" {
					t.Errorf("killed at %d%%: the layer holds %q", percent, out)
				}
				whole := blobSize(t, p, big)
				if sent, answers := m.count(big); sent != whole || answers != 2 {
					t.Errorf("killed at %d%%: %d bytes in %d answers, of a blob of %d", percent, sent, answers, whole)
				}
				cleanStore(t, p, 2)
			}
		})
	}
}

// killPull begins a pull in a process group of its own, and kills the processes
// (kill(2): or groups) that victims names; it returns when all of the pull is gone.
func killPull(t *testing.T, p *person, ref string, victims func(client int) []int) {
	t.Helper()
	c := p.command("pull", "-q", ref)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var stderr strings.Builder
	c.Stderr = &stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range victims(c.Process.Pid) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatalf("kill %d: %v", pid, err)
		}
	}
	began := time.Now()
	if code := exitCode(t, c.Wait()); code != 128+int(syscall.SIGKILL) && (code == 0 || !strings.Contains(stderr.String(), "died")) {
		t.Errorf("exit code %d\n%s", code, stderr.String())
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %v to end", took)
	}
	// Its worker was told by the end of the socket.
	until(t, "the group is gone", func() bool { return syscall.Kill(-c.Process.Pid, 0) == syscall.ESRCH })
}

// workerOf is the process that works on the store for a command.
func workerOf(t *testing.T, client int) int {
	t.Helper()
	worker := 0
	until(t, "a worker", func() bool {
		children := childrenOf(client)
		if len(children) == 1 {
			worker = children[0]
		}
		return worker != 0
	})
	return worker
}

// withStore is the same person with an empty store.
func (p *person) withStore(t *testing.T, name string) *person {
	t.Helper()
	home := filepath.Join(p.home(), name)
	runtime := filepath.Join(strings.TrimPrefix(p.env[1], "XDG_RUNTIME_DIR="), name)
	for _, dir := range []string{home, runtime} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return &person{t, append([]string{"HOME=" + home, "XDG_RUNTIME_DIR=" + runtime}, p.env[2:]...)}
}

// dataOf is where rootlet keeps this person's things.
func dataOf(p *person) string { return filepath.Join(p.home(), ".local/share/rootlet") }

func (p *person) home() string { return strings.TrimPrefix(p.env[0], "HOME=") }

// partialSize is how much of a blob has come of a fetch that is not over, or -1.
func partialSize(p *person, digest string) int64 {
	info, err := os.Stat(filepath.Join(dataOf(p), "blobs/partial", strings.TrimPrefix(digest, "sha256:")))
	if err != nil {
		return -1
	}
	return info.Size()
}

func blobSize(t *testing.T, p *person, digest string) int64 {
	t.Helper()
	info, err := os.Stat(filepath.Join(dataOf(p), "blobs/sha256", strings.TrimPrefix(digest, "sha256:")))
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// cleanStore fails the test unless the store has exactly so many layers and
// nothing that is half made.
func cleanStore(t *testing.T, p *person, layers int) {
	t.Helper()
	for _, problem := range leftInStore(p, layers) {
		t.Error(problem)
	}
}

// leftInStore lists where a store has other than so many layers with their
// blobs, and anything that is half made.
func leftInStore(p *person, layers int) (problems []string) {
	for pattern, want := range map[string]int{
		"blobs/partial/*":                   0,
		"storage/rootlet-staging/*":         0,
		"storage/rootlet-layers/*":          0,
		"storage/overlay-*/.tmp-*":          0,
		"storage/overlay/l/*":               layers,
		"storage/overlay/[0-9a-f][0-9a-f]*": layers,
		"blobs/sha256/*":                    layers,
	} {
		found, _ := filepath.Glob(filepath.Join(dataOf(p), pattern)) // the patterns are right
		if len(found) != want {
			problems = append(problems, fmt.Sprintf("%s: %d of them, want %d: %q", pattern, len(found), want, found))
		}
	}
	return problems
}
