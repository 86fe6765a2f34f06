package integration

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"

	"rootlet/internal/testenv"
)

// leastPullKills is how many points of a pull have to be survived.
const leastPullKills = 200

// F2 and F3: a pull is killed before each call by which it changes something on
// the disk, the store's own and those of its library alike: once the process
// that makes the call, once all of the pull. Whatever is there then is no image
// or a whole one, and the next pull makes good what was left.
func TestPullIsKilledAtEachChange(t *testing.T) {
	m := newMeter(t)
	sweep := &pullSweep{m: m, person: newPerson(t), every: 1}
	least := int64(leastPullKills)
	switch {
	case testing.Short():
		sweep.every, least = 25, 8
	case testenv.Kind() == testenv.WithoutSubIDs:
		sweep.every, least = 6, 30 // the calls are the same ones
	}
	// Layers that wait for each other: two and five on the first.
	for _, sizes := range [][]int{{20 << 10, 30 << 10}, {1000, 40 << 10, 1000, 5000, 20 << 10}} {
		sweep.over(t, newPulled(t, m, sizes...))
		sweep.every *= 6
	}
	t.Logf("killed at %d points", sweep.kills.Load())
	if n := sweep.kills.Load(); n < least {
		t.Errorf("killed at %d points only, want %d", n, least)
	}
}

// pulled is an image that is there to be pulled, and runs.
type pulled struct {
	ref, name, id string
	layers        int
}

func newPulled(t *testing.T, m *meter, sizes ...int) pulled {
	t.Helper()
	image, _, err := lean(uint64(10*len(sizes)), sizes...)
	if err != nil {
		t.Fatal(err)
	}
	id, err := image.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("layers-%d", len(sizes)+1)
	return pulled{ref: m.put(t, name, image), name: name, id: id.String(), layers: len(sizes) + 1}
}

// pullSweep kills pulls.
type pullSweep struct {
	*person
	m     *meter
	every int // of how many points one counts
	kills atomic.Int64
}

// over kills the pull of one image, three at a time, each in a store of its own.
func (s *pullSweep) over(t *testing.T, image pulled) {
	t.Helper()
	var next, last atomic.Int64
	last.Store(1 << 20) // until one was not hit
	var all sync.WaitGroup
	for range 3 {
		onThread(&all, func() {
			for !t.Failed() {
				n := int(next.Add(int64(s.every)))
				if n > int(last.Load()) {
					return
				}
				if !s.kill(t, image, n) {
					last.Store(min(last.Load(), int64(n)))
					return
				}
				s.kills.Add(1)
			}
		})
	}
	all.Wait()
}

// kill kills a pull at its n-th change, if it has so many.
func (s *pullSweep) kill(t *testing.T, image pulled, n int) bool {
	p := s.withStore(t, fmt.Sprintf("%s-%d", image.name, n))
	c := p.command("pull", "-q", image.ref)
	said, err := os.Create(p.home() + "/said")
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	c.Stderr = said
	var at call
	client := 0
	code := trace(t, c, dataOf(p), func(now call) fate {
		if client == 0 {
			client = c.Process.Pid
		}
		if now.n != n {
			return fate{}
		}
		at = now
		if n/s.every%2 == 0 {
			return fate{kill: []int{now.process, client}}
		}
		return fate{kill: []int{now.process}}
	})
	if at.n == 0 {
		if code != 0 {
			t.Errorf("a pull that nobody killed: exit code %d", code)
		}
	} else if code == 0 {
		t.Errorf("killed before %v, pull exits 0", at)
	}
	problems := s.mended(p, image)
	if len(problems) > 0 {
		text, _ := os.ReadFile(said.Name())
		t.Errorf("killed before change %d, %v, in process %d of %d: pull said %q; then\n%s", n, at, at.process, client, text, strings.Join(problems, "\n"))
		return true
	}
	_ = os.RemoveAll(p.home()) // what it cannot remove newPerson does
	return at.n != 0
}

// mended lists what is wrong after a kill, or later.
func (s *pullSweep) mended(p *person, image pulled) (problems []string) {
	try := func(args ...string) string {
		stdout, stderr, code := p.try(args...)
		if code != 0 {
			problems = append(problems, fmt.Sprintf("rootlet %s: exit code %d: %s", strings.Join(args, " "), code, stderr))
		}
		return strings.TrimSpace(stdout)
	}
	switch shown := try("images", "-q", "--no-trunc"); shown {
	case "":
	case image.id:
		try("run", "--rm", "--pull", "never", "--network", "none", image.ref)
	default:
		problems = append(problems, fmt.Sprintf("images shows %q", shown))
	}
	try("run", "--rm", "--pull", "always", "-q", "--network", "none", image.ref)
	if shown := try("images", "-q", "--no-trunc"); shown != image.id {
		problems = append(problems, fmt.Sprintf("after the next pull images shows %q", shown))
	}
	try("system", "check")
	return append(problems, leftInStore(p, image.layers)...)
}

// lean is an image of a program that ends at once, and of layers that do not
// compress, of so many bytes each.
func lean(seed uint64, sizes ...int) (v1.Image, []string, error) {
	layer, err := gzipLayer(file("ends", 0o755, string(program())))
	if err != nil {
		return nil, nil, err
	}
	base, err := build(empty.Image, v1.Config{Entrypoint: []string{"/ends"}}, "amd64", layer)
	if err != nil {
		return nil, nil, err
	}
	return noisyOver(base, seed, sizes)
}

// program is one that does nothing but exit with 0, for elf(5).
func program() []byte {
	code := []byte{0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05} // mov $60, %eax; xor %edi, %edi; syscall
	const base, heads = 0x400000, 64 + 56
	size := uint64(heads + len(code))
	header := elf.Header64{
		Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT),
		Entry: base + heads, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1,
	}
	segment := elf.Prog64{
		Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Vaddr: base, Paddr: base, Filesz: size, Memsz: size, Align: 0x1000,
	}
	var out bytes.Buffer
	for _, part := range []any{header, segment, code} {
		if err := binary.Write(&out, binary.LittleEndian, part); err != nil {
			panic(err) // they have a fixed size
		}
	}
	return out.Bytes()
}
