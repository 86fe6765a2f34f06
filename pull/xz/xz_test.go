package xz

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"

	library "github.com/ulikunitz/xz"

	"rootlet/internal/testenv"
)

const most = 64 << 20

func content(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = "abcdefgh"[r.IntN(8)]
	}
	return b
}

func pack(t testing.TB, b []byte, c library.WriterConfig) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := c.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func unpack(b []byte) ([]byte, error) {
	r, err := NewReader(bytes.NewReader(b), most)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func TestRead(t *testing.T) {
	for _, n := range []int{0, 1, 1000, 200_000} {
		want := content(n)
		for _, check := range []byte{library.CRC32, library.CRC64, library.SHA256} {
			packed := pack(t, want, library.WriterConfig{CheckSum: check, BlockSize: 64 << 10, DictCap: 1 << 16})
			for name, b := range map[string][]byte{
				"": packed, "padded": append(bytes.Clone(packed), 0, 0, 0, 0),
				"twice": append(append(bytes.Clone(packed), 0, 0, 0, 0), packed...),
			} {
				whole := want
				if name == "twice" {
					whole = append(bytes.Clone(want), want...)
				}
				if got, err := unpack(b); err != nil || !bytes.Equal(got, whole) {
					t.Errorf("%d bytes, check %d %s: %d bytes, %v", n, check, name, len(got), err)
				}
			}
		}
	}
}

// TestXZ reads what the program xz writes.
func TestXZ(t *testing.T) {
	program := testenv.NeedProgram(t, "xz")
	want := content(200 << 10)
	for _, flags := range []string{"-0", "-9", "-T2 --block-size=64KiB", "--check=none", "--check=crc32", "--check=sha256"} {
		c := exec.Command(program, append([]string{"-c"}, strings.Fields(flags)...)...)
		c.Stdin = bytes.NewReader(want)
		packed, err := c.Output()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := unpack(packed); err != nil || !bytes.Equal(got, want) {
			t.Errorf("xz %s: %d bytes, %v", flags, len(got), err)
		}
	}
}

func TestDamage(t *testing.T) {
	packed := pack(t, content(600), library.WriterConfig{BlockSize: 300, DictCap: 1 << 12})
	for i := range packed {
		changed := bytes.Clone(packed)
		changed[i] ^= 0x10
		if got, err := unpack(changed); err == nil && !bytes.Equal(got, content(600)) {
			t.Errorf("byte %d changed: read without an error", i)
		}
		if _, err := unpack(packed[:i]); err == nil {
			t.Errorf("cut at %d: read without an error", i)
		}
	}
}

// TestDictionary has a block ask for 4 GiB.
func TestDictionary(t *testing.T) {
	packed := pack(t, []byte("x"), library.WriterConfig{})
	header := packed[12 : 12+(int(packed[12])+1)*4]
	at := bytes.Index(header, []byte{0x21, 1})
	header[at+2] = 40
	binary.LittleEndian.PutUint32(header[len(header)-4:], crc32.ChecksumIEEE(header[:len(header)-4]))
	if _, err := unpack(packed); !errors.Is(err, ErrDictionary) {
		t.Errorf("%v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(pack(f, content(100), library.WriterConfig{}))
	f.Add(pack(f, content(3000), library.WriterConfig{BlockSize: 1000, CheckSum: library.SHA256}))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := NewReader(bytes.NewReader(b), 1<<20)
		if err == nil {
			_, _ = io.Copy(io.Discard, io.LimitReader(r, 1<<20))
		}
	})
}
