package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rootlet/internal/testenv"
)

// Pulls that are killed, broken off, or run side by side:
//
//   - F1, F4: the puller, its worker, or both die within a blob (here);
//   - F19: eight pulls at once, of one image or of eight that share layers (here);
//   - SIGINT at many points of a pull (here);
//   - F2, F3: SIGKILL at each step of a pull (pullsweep_amd64_test.go);
//   - F10, F11: no space, no quota, errors of the disk (fullstore_amd64_test.go), a
//     store that is full or read-only (smallstore_amd64_test.go).

// F1 and F4: whoever dies in the middle of a blob, the next pull goes on from
// there, and takes nothing twice.
func TestPullerIsKilledWithinABlob(t *testing.T) {
	testenv.Whoever(t)
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
				m.abandoned(t)
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

// F3: two pulls with three and two layers on their way die at once, with half of
// each layer.
func TestFiveHalfLayersAtOnce(t *testing.T) {
	testenv.Whoever(t)
	const size = 1 << 20
	m := newMeter(t)
	var refs []string
	var all []string
	for i, sizes := range [][]int{{size, size, size}, {size, size}} {
		image, digests, err := noisy(uint64(100+10*i), sizes...)
		if err != nil {
			t.Fatal(err)
		}
		refs, all = append(refs, m.put(t, fmt.Sprint("half-", i), image)), append(all, digests...)
	}
	p := newPerson(t)
	for _, ref := range refs { // busybox, which both have, is no half layer
		p.rootlet("pull", "-q", ref)
		p.rootlet("rmi", ref)
	}
	m.reset()
	for _, digest := range all {
		m.hold(digest, size/2)
	}
	killPull(t, p, refs[0], func(client int) []int {
		first := []int{client, workerOf(t, client)}
		killPull(t, p, refs[1], func(client int) []int {
			until(t, "five half layers", func() bool {
				return !slices.ContainsFunc(all, func(digest string) bool { return partialSize(p, digest) != size/2 })
			})
			return append(first, client, workerOf(t, client))
		})
		return nil
	})
	m.abandoned(t)
	for _, ref := range refs {
		p.rootlet("run", "--rm", ref, "true")
	}
	for _, digest := range all {
		if sent, _ := m.count(digest); sent != blobSize(t, p, digest) {
			t.Errorf("%d bytes sent, of a blob of %d", sent, blobSize(t, p, digest))
		}
	}
	cleanStore(t, p, 6)
	p.rootlet("system", "check")
}

// F19: eight pull the same image, and eight pull images that share layers:
// nothing is downloaded twice.
func TestEightPullAtOnce(t *testing.T) {
	testenv.Whoever(t)
	const size = 1 << 20
	m := newMeter(t)
	var refs []string
	blobs := map[string]bool{}
	for i := range 8 {
		// Each shares layers with the one before and the one after.
		image, digests, err := noisy(uint64(200+i), size, size, size)
		if err != nil {
			t.Fatal(err)
		}
		refs = append(refs, m.put(t, fmt.Sprint("overlapping-", i), image))
		for _, d := range digests {
			blobs[d] = true
		}
	}
	for name, pulled := range map[string][]string{
		"one image":          {refs[0], refs[0], refs[0], refs[0], refs[0], refs[0], refs[0], refs[0]},
		"overlapping images": refs,
	} {
		t.Run(name, func(t *testing.T) {
			p := newPerson(t)
			m.reset()
			var all sync.WaitGroup
			for i, ref := range pulled {
				all.Go(func() {
					c := p.command("pull", "-q", ref)
					report := filepath.Join(t.TempDir(), fmt.Sprint(i))
					measured(t, c, report)
					if output, err := c.CombinedOutput(); err != nil {
						t.Errorf("pull %d: %v\n%s", i, err, output)
						return
					}
					if memory := readMeasure(t, report); memory > 150<<20 {
						t.Errorf("pull %d took %d bytes", i, memory)
					}
				})
			}
			all.Wait()
			fetched := 0
			for digest := range blobs {
				sent, answers := m.count(digest)
				if answers == 0 {
					continue
				}
				if fetched++; answers != 1 || sent != blobSize(t, p, digest) {
					t.Errorf("%s: %d bytes in %d answers", digest, sent, answers)
				}
			}
			if want := map[string]int{"one image": 3, "overlapping images": len(blobs)}[name]; fetched != want {
				t.Errorf("%d of the blobs were fetched, want %d", fetched, want)
			}
			for _, ref := range pulled {
				p.rootlet("run", "--rm", "--pull", "never", "--network", "none", ref, "true")
			}
			p.rootlet("system", "check")
		})
	}
}

// Ctrl-C at many points of a pull, sent to the whole process group as a terminal
// does: it ends within a second, keeps what has come of the blobs, and the next
// pull goes on from there.
func TestPullIsInterrupted(t *testing.T) {
	testenv.Whoever(t)
	const size = 2 << 20
	m := newMeter(t)
	image, digests, err := noisy(300, size, size/2)
	if err != nil {
		t.Fatal(err)
	}
	ref := m.put(t, "interrupted", image)
	p := newPerson(t)
	interrupt := func(t *testing.T, p *person, when func()) {
		c := p.command("pull", "-q", ref)
		c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		var stderr strings.Builder
		c.Stderr = &stderr
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		when()
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGINT)
		began := time.Now()
		code := exitCode(t, c.Wait())
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %v to end", took)
		}
		if code != 128+int(syscall.SIGINT) && code != 0 {
			t.Errorf("exit code %d\n%s", code, stderr.String())
		}
	}
	mended := func(t *testing.T, p *person, held string) {
		m.abandoned(t)
		p.rootlet("run", "--rm", "--pull", "always", "-q", ref, "true")
		cleanStore(t, p, 3)
		if sent, _ := m.count(held); held != "" && sent != blobSize(t, p, held) {
			t.Errorf("%d bytes sent, of a blob of %d", sent, blobSize(t, p, held))
		}
		p.rootlet("system", "check")
	}
	for _, percent := range []int64{1, 30, 60, 99} {
		t.Run(fmt.Sprintf("at %d%% of a blob", percent), func(t *testing.T) {
			p, at := p.in(t).withStore(t, fmt.Sprint(percent)), size*percent/100
			m.reset()
			m.hold(digests[0], at)
			interrupt(t, p, func() {
				until(t, "all that was sent is kept", func() bool { return partialSize(p, digests[0]) == at })
			})
			if partialSize(p, digests[0]) != at {
				t.Errorf("%d bytes are kept of %d", partialSize(p, digests[0]), at)
			}
			mended(t, p, digests[0])
		})
	}
	t.Run("at any time", func(t *testing.T) {
		m.reset()
		for after := time.Duration(1); after < 200; after += after/4 + 3 {
			p := p.in(t).withStore(t, fmt.Sprint("after-", int(after)))
			interrupt(t, p, func() { time.Sleep(after * time.Millisecond) })
			if shown := p.rootlet("images", "-q"); strings.Count(shown, "\n") > 1 {
				t.Errorf("images shows %q", shown)
			}
			mended(t, p, "")
		}
	})
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
	runtime := filepath.Join(p.runtime(), name)
	for _, dir := range []string{home, runtime} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return &person{t, append([]string{"HOME=" + home, "XDG_RUNTIME_DIR=" + runtime}, p.env[2:]...), p.binary}
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
